"""Reads the codes in a photograph: QR on cases and labels, Code 39 on the spines of cartridges.

Two readers look at the picture, each as it sees best: zbar (by pyzbar) at no more than 1600 pixels,
zxing-cpp at full size. They fail on different pictures, so both are kept; what neither reads is repaired
and shown to them again, one kind of damage after the other, until enough codes are read or the time is
used up. Each code tells which passes read it.

A QR code corrects and checks itself. Code 39 has no check character, so a caller should believe one only
if it fits the label's pattern, is expected, and has `seen` of 2 or more.

libzbar is a library of the system (Debian: libzbar0, Homebrew: zbar). Where it is missing zxing-cpp reads
alone, which `libzbar()` tells.
"""

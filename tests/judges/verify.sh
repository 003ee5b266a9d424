#!/bin/sh
# verify.sh RECEIPT VKEY GIVER.pem TAKER.pem: did both sign the receipt's entry, and does the log hold it?
set -euf; export LC_ALL=C; log=${2%%+*} key=${2#*+} verdict=FAIL t=$(mktemp -d)
trap 'rm -rf "$t"; echo $verdict' EXIT; cp "$1" "$t/receipt"; cp "$3" "$t/14.pem"; cp "$4" "$t/22.pem"; cd "$t"
unbase64() { openssl base64 -d -A; }; sha256() { openssl dgst -sha256 -binary; }
field() { cut -d '"' -f "$1" entry; }; sed -n 's/^extra //p' receipt | unbase64 >entry
field 4 | unbase64 >payload; sed '/^$/,$d' receipt >head; sed '1,/^$/d' receipt >note; sed '/^$/,$d' note >text
[ "$(sed -n 1p text)" = "$log" ]; sed -n "s|^— $log ||p" note | unbase64 | tail -c +5 >sig
{ printf '0*0\005\006\003+ep\003!\000'; echo "${key#*+}" | unbase64 | tail -c +2; } >log.der
openssl pkeyutl -verify -rawin -in text -sigfile sig -pubin -keyform DER -inkey log.der
index=$(sed -nE 's/^index (0|[1-9][0-9]{0,14})$/\1/p' head) size=$(sed -nE '2s/^[1-9][0-9]{0,14}$/&/p' text)
f=$index s=$((size - 1)); [ "$f" -le "$s" ]; printf '\000' | cat - entry | sha256 >hash  # RFC 9162, 2.1.3.2
for p in $(sed '/^c2sp.org\/tlog-proof@v1$/d; / /d' head); do [ "$s" != 0 ]; echo "$p" | unbase64 >p
  if [ $((f & 1)) = 1 ] || [ "$f" = "$s" ]; then cat p hash >pair
    until [ $((f & 1)) = 1 ] || [ "$f" = 0 ]; do f=$((f >> 1)) s=$((s >> 1)); done; else cat hash p >pair; fi
  printf '\001' | cat - pair | sha256 >hash; f=$((f >> 1)) s=$((s >> 1)); done
[ "$s" = 0 ]; sed -n 3p text | unbase64 | cmp - hash; echo "Entry $index of $size is in the log"
printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c <payload)" | cat - payload >pae
for k in 14 22; do field $((k + 4)) | unbase64 >sig; openssl dgst -sha256 -verify $k.pem -signature sig pae
  [ "$(openssl pkey -pubin -in $k.pem -outform DER | openssl dgst -sha256 -r)" = "$(field $k) *stdin" ]; done
[ "$(field 14)" != "$(field 22)" ]; grep -F "\"predicate\":{\"origin\":\"$log\"," payload; verdict=ok

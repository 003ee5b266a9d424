#!/bin/sh
# verify.sh PROOF ENTRY VKEY GIVER.pem TAKER.pem: did both sign this entry, and does the log hold it?
set -euf; export LC_ALL=C; vkey=$3 verdict=FAIL t=$(mktemp -d); trap 'rm -rf "$t"; echo $verdict' EXIT
cp "$1" "$t/proof"; cp "$2" "$t/entry"; cp "$4" "$t/14.pem"; cp "$5" "$t/22.pem"; cd "$t"
unbase64() { openssl base64 -d -A; }; sha256() { openssl dgst -sha256 -binary; }
field() { cut -d '"' -f "$1" entry; }  # an entry has one spelling: 4 payload, 14 and 22 keyid, 18 and 26 sig
sed '/^$/,$d' proof >head; sed '1,/^$/d' proof >note; sed '/^$/,$d' note >text; field 4 | unbase64 >payload
[ "$(sed -n 1p text)" = "${vkey%%+*}" ]; sed -n "s|^— ${vkey%%+*} ||p" note | unbase64 | tail -c +5 >sig
{ printf '0*0\005\006\003+ep\003!\000'; echo "$vkey" | cut -d + -f 3- | unbase64 | tail -c +2; } >log.der
openssl pkeyutl -verify -rawin -in text -sigfile sig -pubin -keyform DER -inkey log.der
index=$(sed -nE 's/^index (0|[1-9][0-9]{0,14})$/\1/p' head) size=$(sed -nE '2s/^[1-9][0-9]{0,14}$/&/p' text)
f=$index s=$((size - 1)); [ "$f" -le "$s" ]; printf '\000' | cat - entry | sha256 >hash  # RFC 9162, 2.1.3.2
for p in $(sed '/^c2sp.org\/tlog-proof@v1$/d; / /d' head); do [ "$s" != 0 ]; printf %s "$p" | unbase64 >p
  if [ $((f & 1)) = 1 ] || [ "$f" = "$s" ]; then cat p hash >pair
    until [ $((f & 1)) = 1 ] || [ "$f" = 0 ]; do f=$((f >> 1)) s=$((s >> 1)); done; else cat hash p >pair; fi
  printf '\001' | cat - pair | sha256 >hash; f=$((f >> 1)) s=$((s >> 1)); done
[ "$s" = 0 ]; sed -n 3p text | unbase64 | cmp - hash; echo "Entry $index of $size is in the log"
printf 'DSSEv1 28 application/vnd.in-toto+json %d ' "$(wc -c <payload)" | cat - payload >pae
for k in 14 22; do field $((k + 4)) | unbase64 >sig; openssl dgst -sha256 -verify $k.pem -signature sig pae
  [ "$(openssl pkey -pubin -in $k.pem -outform DER | openssl dgst -sha256 -r)" = "$(field $k) *stdin" ]; done
[ "$(field 14)" != "$(field 22)" ]; echo "Two keys signed this:"; cat payload; echo; verdict=ok

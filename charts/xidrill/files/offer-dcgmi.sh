# Runs in a DCGM image before the agent starts: copies dcgmi and the libraries that the agent's image lacks to $OFFER, where the
# agent looks for a dcgmi of its own, and ends. What it leaves belongs to root and can be written to by nobody else: the agent
# runs nothing else.
set -eu
umask 022
dcgmi=$(command -v dcgmi)
mkdir -p "$OFFER"
# The kubelet makes the volume writable for everybody.
chmod 0755 "$OFFER"
# A container that is started again finds what the one before it left.
rm -rf "$OFFER/lib" "$OFFER/bin"
mkdir "$OFFER/lib" "$OFFER/bin"
cp -L "$dcgmi" "$OFFER/lib/dcgmi"
# The C library is the agent's own: one of another version would not fit its loader.
ldd "$dcgmi" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | grep -v -E '/(libc|libm|libdl|libpthread|librt)\.so' |
  while read -r library; do cp -L "$library" "$OFFER/lib/"; done
# Opened by name at run time, so that ldd does not see them.
for library in /usr/lib/*/libdcgm*.so.* /usr/lib64/libdcgm*.so.*; do
  if [ -e "$library" ]; then cp -L "$library" "$OFFER/lib/"; fi
done
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/lib exec %s/lib/dcgmi "$@"\n' "$OFFER" "$OFFER" > "$OFFER/bin/dcgmi"
chmod -R go-w "$OFFER"
chmod 0755 "$OFFER/bin/dcgmi"

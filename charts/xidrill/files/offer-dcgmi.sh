# Runs in a DCGM image: copies dcgmi and the libraries that the agent's image lacks to $OFFER, where the agent looks for a
# dcgmi of its own, and waits. With $ENGINE_PORT it runs a host engine instead of waiting.
set -eu
dcgmi=$(command -v dcgmi)
mkdir -p "$OFFER/lib" "$OFFER/bin"
cp -L "$dcgmi" "$OFFER/lib/dcgmi"
# The C library is the agent's own: one of another version would not fit its loader.
ldd "$dcgmi" | sed -n 's/.*=> \(\/[^ ]*\).*/\1/p' | grep -v -E '/(libc|libm|libdl|libpthread|librt)\.so' |
  while read -r library; do cp -L "$library" "$OFFER/lib/"; done
# Opened by name at run time, so that ldd does not see them.
for library in /usr/lib/*/libdcgm*.so.* /usr/lib64/libdcgm*.so.*; do
  if [ -e "$library" ]; then cp -L "$library" "$OFFER/lib/"; fi
done
printf '#!/bin/sh\nLD_LIBRARY_PATH=%s/lib exec %s/lib/dcgmi "$@"\n' "$OFFER" "$OFFER" > "$OFFER/bin/.dcgmi"
chmod 0755 "$OFFER/bin/.dcgmi"
# Whoever looks meanwhile finds no dcgmi, not half of one.
mv "$OFFER/bin/.dcgmi" "$OFFER/bin/dcgmi"
if [ -n "${ENGINE_PORT:-}" ]; then exec nv-hostengine -n --bind-interface 127.0.0.1 --port "$ENGINE_PORT"; fi
trap 'exit 0' TERM INT
while :; do
  sleep 3600 &
  wait $!
done

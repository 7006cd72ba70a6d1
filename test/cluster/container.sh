# A container of the base image as far as these tests need one: `unshare --mount sh container.sh ROOT [FROM:TO…] -- PROGRAM…`.
# Its root file system is empty but for what is mounted there, all of it in a mount namespace of its own that ends with it.
# TO starts with `+` where it may be written to. The base image is this machine's own /usr.
set -eu
root=$1
shift
mount -t tmpfs -o mode=0755 none "$root"
for folder in bin lib lib64 sbin; do
  if [ -L "/$folder" ]; then cp -P "/$folder" "$root/$folder"; fi
done

bind() {
  to=$root$2
  if [ -d "$1" ]; then mkdir -p "$to"; else mkdir -p "${to%/*}" && : > "$to"; fi
  mount --bind "$1" "$to"
}

bind /usr /usr
bind /proc /proc
for device in null urandom; do bind "/dev/$device" "/dev/$device"; done
while [ "$1" != -- ]; do
  case $1 in
    *:+*) bind "${1%%:+*}" "${1#*:+}" ;;
    *) bind "${1%%:*}" "${1#*:}" && mount -o remount,bind,ro "$to" ;;
  esac
  shift
done
shift
mount -o remount,bind,ro "$root/usr"
mount -o remount,ro "$root"
exec chroot "$root" "$@"

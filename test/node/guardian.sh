# Outlives a run, however that ends, and takes away what is not gone with its namespaces: `guardian.sh FOLDER CGROUP`, with
# the run at the other end of its standard input.
folder=$1 cgroup=$2
cat > /dev/null
# The processes of a namespace that has ended are killed by the kernel, in its own time.
tries=0
while [ "$tries" -lt 120 ]; do
  find /sys/fs/cgroup/*/"$cgroup" -depth -type d -exec rmdir {} + 2> /dev/null
  if ! ls -d /sys/fs/cgroup/*/"$cgroup" > /dev/null 2>&1; then break; fi
  tries=$((tries + 1))
  sleep 0.5
done
rm -rf "$folder"

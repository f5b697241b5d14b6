# Runs inside new user, mount, network, process, IPC and host-name namespaces, as the root of the first only.
# Builds a root of its own that holds the system's programs, the dataset's folder and the input, all read-only, gives up
# every right, and runs the script in it.
# Arguments: <empty folder> <dataset folder> <input file or nothing> <its name> <bytes of /tmp> <command> …
set -e
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ready=
trap '[ -n "$ready" ] || { echo "the sandbox could not be set up" >&2; exit 97; }' EXIT
root=$1 folder=$2 input=$3 name=$4 space=$5
shift 5

mount -t tmpfs -o mode=0755,size=4m,nosuid,nodev openshelf "$root"
for part in usr bin sbin lib lib32 lib64 libx32 opt nix; do
    if [ -L "/$part" ]; then
        ln -s "$(readlink "/$part")" "$root/$part"
    elif [ -d "/$part" ]; then
        mkdir "$root/$part"
        mount --rbind "/$part" "$root/$part"
    fi
done
mkdir "$root/dataset" "$root/input" "$root/etc" "$root/etc/ssl" "$root/dev" "$root/proc" "$root/tmp" "$root/old"
mount --rbind "$folder" "$root/dataset"
if [ -n "$input" ]; then
    : >"$root/input/$name"
    mount --bind "$input" "$root/input/$name"
fi
# Of /etc only what programs need to start: the rest may hold secrets.
for part in alternatives ld.so.cache ld.so.conf ld.so.conf.d localtime mime.types ssl/certs; do
    [ -e "/etc/$part" ] || continue
    if [ -d "/etc/$part" ]; then mkdir "$root/etc/$part"; else : >"$root/etc/$part"; fi
    mount --rbind "/etc/$part" "$root/etc/$part"
done
echo 'root:x:0:0::/tmp:/bin/sh' >"$root/etc/passwd"
for part in null zero full random urandom; do
    : >"$root/dev/$part"
    mount --bind "/dev/$part" "$root/dev/$part"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"

cd "$root"
pivot_root . old
umount -l /old
rmdir /old
# Everything read-only, /proc and the devices too: their owner may be the caller. Flags of the machine's own mounts stay,
# as they must.
while read -r _ _ _ _ point options _; do
    flags=ro
    for flag in nosuid nodev noexec noatime nodiratime relatime; do
        case ,$options, in *,$flag,*) flags=$flags,$flag ;; esac
    done
    mount -o "remount,bind,$flags" "$(printf '%b' "$(printf '%s' "$point" | sed 's/\\/\\0/g')")"
done </proc/self/mountinfo
mount -t tmpfs -o "mode=1777,size=$space,nosuid,nodev" openshelf /tmp
cd /dataset
ready=1
# Not `exec`: as the first process of its namespace the script would have no signals and no one to bury its children.
setpriv --no-new-privs --inh-caps=-all --ambient-caps=-all --bounding-set=-all "$@" || exit $?
exit 0

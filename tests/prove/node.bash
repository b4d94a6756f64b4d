# What the shell of a node does for each line of its input. `look` prints what a fault may change on a node, a line each, without numbers
# that change by themselves (ids, counters). It starts few processes: a look is made often, and beside runs that it must not slow down.
exec 2>/dev/null
shopt -s globstar nullglob
exec {silent}<> <(:)
address=$(hostname -I)
address=${address%% *}
data=/var/lib/dsfuzz/lone-redis

each() {
    local line
    while read -r line; do
        case "$line" in "#"*) continue;; :*) line=${line%%[*};; esac
        echo "$1 $line"
    done
}
processes() {
    local p arguments comm
    for p in /proc/[0-9]*; do
        read -r comm <$p/comm || continue
        arguments=()
        mapfile -d '' -t arguments <$p/cmdline
        "$1" ${p#/proc/}
    done
}
look_at() {
    local stat line groups
    case "$comm" in redis-server)
        read -r stat </proc/$1/stat
        stat=${stat##*) }
        case "${stat%% *}" in T|t) echo "redis is stopped";; esac
        mapfile -t groups </proc/$1/cgroup
        echo "redis ${#groups[@]}"
        while read -r line; do
            case "$line" in "Max open files"*|"Max data size"*) echo "redis ${line//  /}";; esac
        done </proc/$1/limits
    esac
    case "${arguments[0]}" in *dsfuzz-agent*) echo "agent";; esac
    case "${arguments[0]} ${arguments[1]}" in "/proc/self/exe burn") echo "a busy process";; esac
}
list_agent() { case "${arguments[0]}" in *dsfuzz-agent*) echo $1;; esac; }
agents() { processes list_agent; }
forget_claims() { rm -rf /run/dsfuzz; }
kill_agent() { case "${arguments[0]} ${arguments[1]}" in *dsfuzz-agent*" serve") kill -9 $1;; esac; }
kill_of_sshd() { case "$comm" in sshd*) kill -9 $1;; esac; }
kill_agents() { processes kill_agent; }
kill_sshd() { processes kill_of_sshd; }

# A busy machine is slow at times, a slow disk always: the best of several writes counts.
look_at_layer() {
    local best= begun took try
    for try in 1 2 3 4 5; do
        begun=${EPOCHREALTIME/[.,]}
        { echo look >$1/.look && sync $1/.look; } || { echo "disk refuses"; break; }
        took=$(( (${EPOCHREALTIME/[.,]} - begun) / 1000 ))
        [ -n "$best" ] && [ $best -le $took ] || best=$took
        [ $best -ge 150 ] || break
    done
    [ -z "$best" ] || [ $best -lt 150 ] || echo "disk is slow"
    rm -f $1/.look
}
ask_redis() {
    exec 3<>/dev/tcp/$address/6379 && printf 'TIME\r\n' >&3 && read -t 1 -r _ <&3 && read -t 1 -r _ <&3 && read -t 1 -r t <&3 && echo ${t%?}
}
# A clock that flips is true half of the time, one that stands still is true at its begin, and processes that are stopped in turns
# run in between: so several looks.
look_at_redis() {
    local said off try freezer frozen log absent= refused=
    for try in 1 2 3 4 5 6 7 8 9 10 11 12; do
        said=$(ask_redis)
        [ -n "$said" ] || { echo "redis does not answer"; absent=1; break; }
        off=$(( said - EPOCHSECONDS ))
        [ $off -ge -1 ] && [ $off -le 1 ] || { echo "clock of redis is off"; break; }
        for freezer; do
            read -r frozen <$freezer
            [ "$frozen" != 1 ] || { echo "a cgroup is frozen"; break 2; }
        done
        read -r -t 0.013 -u $silent
    done
    mapfile -t log <$data/redis.log
    for said in "${log[@]}"; do
        case "$said" in
            *"Redis is starting"*|*"Ready to accept connections"*) refused=;;
            *"reading the append only file"*|*"Internal error in RDB reading"*|*"AOF MANIFEST FILE ERROR"*|*"Unable to obtain the AOF file"*) refused=${said#*# };;
        esac
    done
    [ -z "$refused" ] || echo "redis refuses its file: $refused"
    [ -z "$absent" ] || echo "redis said last: ${log[-1]}"
}
look() {
    local line point layers=() freezers=() folder file value
    nft list ruleset | each nft
    iptables-save | each iptables
    ip6tables-save | each ip6tables
    tc qdisc show | each tc
    ip route show table all | each route
    while read -r line; do
        set -- $line
        echo "mount ${line#* * * }"
        case "$line" in *" - fuse"*) layers+=("$5");; esac
    done </proc/self/mountinfo
    for folder in /sys/fs/cgroup/**/; do
        echo "cgroup $folder"
        for file in cgroup.freeze freezer.self_freezing cpu.max memory.max cpu.cfs_quota_us memory.limit_in_bytes; do
            read -r value <$folder$file || continue
            echo "limit $folder$file $value"
            case "$file" in cgroup.freeze) freezers+=("$folder$file");; esac
        done
    done
    processes look_at
    for point in "${layers[@]}"; do look_at_layer $point; done
    look_at_redis "${freezers[@]}"
    find /tmp /var/tmp /var/lib/dsfuzz ! -name '*.aof' ! -path '/var/lib/dsfuzz/agent*' -printf 'file %p\n'
    echo seen
}
# Addresses that are not confirmed yet get their routes later.
until [ -z "$(ip -6 address show tentative)" ]; do read -r -t 0.1 -u $silent; done
while read -r command; do
    $command
    echo done
done

# Makes stacks readable: reads what addr2line says of the binary's addresses, then perf's stacks, and
# writes the stacks with inlined functions as frames of their own (folder::file::function), without
# those of other crates and of the standard library, and without the frames that start a thread.
#
#   awk -v binary=PATH -f tools/lab/perf/frames.awk addresses.txt stacks.txt
#
# addresses.txt: addr2line -afiC, each address preceded by a line "= ADDRESS AS PERF WRITES IT".

FNR == 1 { input++ }

# Pairs of lines, innermost first: a function, then where it was written.
input == 1 && /^= / { address = $2; number = 0; next }
input == 1 && /^0x/ { next }
input == 1 {
    number++
    if (number % 2) { name = $0; next }
    own = $0
    sub(/:[0-9?]+( .*)?$/, "", own)
    if (own ~ /^\/rustc\/|\/registry\/|^\?\?/) { depth[address, number / 2] = ""; last[address] = number / 2; next }
    folder = own
    sub(/\/mod\.rs$/, "", folder)
    sub(/\.rs$/, "", folder)
    parts = split(folder, part, "/")
    folder = part[parts]
    if (parts > 1 && part[parts - 1] != "src") folder = part[parts - 1] "::" folder
    if (name !~ /^</) sub(/<.*/, "", name)
    sub(/^.*::/, "", name)
    depth[address, number / 2] = folder "::" name
    last[address] = number / 2
    next
}

/^[ \t]+[0-9a-f]+ / {
    if ($0 ~ /(start_thread|__rust_begin_short_backtrace|FnOnce::call_once.*|thread_start|lang_start.*|__libc_start_.*|clone3?|_start) \(/) next
    if (index($0, "(" binary ")") == 0) { print; next }
    # The outermost is the function that perf has named already.
    for (n = 1; n < last[$1]; n++)
        if (depth[$1, n] != "") print "\t" $1 " " depth[$1, n] " (" binary ")"
    print
    next
}

{ print }

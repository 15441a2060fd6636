# Runs one execution of a step: shim.sh STARTED COMMAND [ARGUMENT ...]
#
# Whoever creates STARTED owns the execution; a second shim for it ends here, before anything ran. The file
# holds this process's own line of /proc, so that a restarted server can tell it from a reused process id,
# and before that room for the exit code, which is written over it in place: that needs no new block on a full disk.
# Builtins only: each further program would double the cost of a step. The names are long because the
# step's environment is imported into this shell's variables.
set -C
IFS= read -r _dagbook_stat <"/proc/$$/stat"
{ printf '   \n%s\n' "$_dagbook_stat" >"$1"; } 2>/dev/null || exit 125
_dagbook_started=$1
shift
# Caught, not ignored: the command gets the defaults back, and this shell lives on to write the exit code.
trap : HUP INT QUIT ILL TRAP ABRT BUS FPE USR1 SEGV USR2 PIPE ALRM TERM XCPU XFSZ VTALRM PROF IO SYS TSTP TTIN TTOU
# This shell's own words ("Terminated") stay out of the step's stderr; the subshell becomes the command.
exec 3>&2 2>/dev/null
(exec "$@" 2>&3 3>&-)
_dagbook_code=$?
printf '%03d\n' "$_dagbook_code" 1<>"$_dagbook_started"
exit "$_dagbook_code"

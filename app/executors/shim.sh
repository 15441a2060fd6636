# Runs one execution of a step: shim.sh STARTED COMMAND [ARGUMENT ...]
#
# It waits until its server has made STARTED, the file that says that the execution is this process's, and lets
# it go; whoever makes that file first owns the execution. A server that has ended lets nobody go: then nothing
# runs, and the file, if it was made, is told so.
# The file has room for the exit code, which is written over it in place: that needs no new block on a full disk.
# Builtins only: each further program would double the cost of a step. The names are long because the
# step's environment is imported into this shell's variables.
IFS= read -r _dagbook_go || {
  { IFS= read -r _dagbook_go; IFS=' ' read -r _dagbook_pid _dagbook_go; } 2>/dev/null <"$1"
  [ "$_dagbook_pid" != "$$" ] || printf '%s\n' --- 1<>"$1"
  exit 125
}
_dagbook_started=$1
shift
# Caught, not ignored: the command gets the defaults back, and this shell lives on to write the exit code.
trap : HUP INT QUIT ILL TRAP ABRT BUS FPE USR1 SEGV USR2 PIPE ALRM TERM XCPU XFSZ VTALRM PROF IO SYS TSTP TTIN TTOU
# This shell's own words ("Killed") stay out of the step's stderr. They go to the end of STARTED, where they tell that
# a signal ended the command: its exit status alone could be one that the command chose. The subshell becomes it.
exec 3>&2 2>>"$_dagbook_started"
(exec "$@" 2>&3 3>&- </dev/null)
_dagbook_code=$?
printf '%03d\n' "$_dagbook_code" 1<>"$_dagbook_started"
exit "$_dagbook_code"

# Runs one execution of a step: shim.sh STARTED COMMAND [ARGUMENT ...]
# or its command lines, one after the other until one fails: shim.sh STARTED "" LINE LINE ...
#
# It waits for a line of its server, which first creates STARTED, the file that makes this process the owner of the
# execution. Without that line, because the server has ended, the command is not run, and the file, if it names this
# process, gets a note of that.
# The file has space for the exit code, which is written in place: that needs no new block on a full disk.
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
trap _dagbook_stop=1 HUP INT QUIT ILL TRAP ABRT BUS FPE USR1 SEGV USR2 PIPE ALRM TERM XCPU XFSZ VTALRM PROF IO SYS TSTP TTIN TTOU
# Messages of this shell ("Killed") are kept out of the step's stderr. They go to the end of STARTED, where they show
# that a signal killed the command: its exit status alone could be one that the command chose. The subshell execs it.
exec 3>&2 2>>"$_dagbook_started"
if [ -n "$1" ]; then
  (exec "$@" 2>&3 3>&- </dev/null)
  _dagbook_code=$?
else
  shift
  _dagbook_stop= _dagbook_number=0
  for _dagbook_line; do
    _dagbook_number=$((_dagbook_number + 1))
    # Where its part of stderr begins: for the error text of the step.
    _dagbook_size=$(wc -c <"/proc/$$/fd/3")
    printf '%s %s\n' "$_dagbook_number" "${_dagbook_size:-0}" >"${_dagbook_started%.started}.line"
    (eval "exec $_dagbook_line" 2>&3 3>&- </dev/null)
    _dagbook_code=$?
    [ "$_dagbook_code$_dagbook_stop" = 0 ] || break
  done
fi
printf '%03d\n' "$_dagbook_code" 1<>"$_dagbook_started"
exit "$_dagbook_code"

"""One sentence on every field of the format, by the object that it belongs to."""

from __future__ import annotations

DAG = {
    "name": "Name of the DAG: at most 40 letters, digits, '_', '-' and '.'; without one, that of the file.",
    "group": "A label that lists can be grouped by.",
    "description": "What the DAG is for.",
    "type": "chain: every step waits for the one before it; graph: only for those that 'depends' names.",
    "shell": "The shell that runs commands, with its arguments, as one text or a list.",
    "workingDir": "Directory that the run works in; it is created when it is missing.",
    "dotenv": "Files with KEY=value lines, read after .env; later ones win. An empty list: none.",
    "schedule": "When runs start: cron expressions of five fields, or a map with start, stop and restart.",
    "skipIfSuccessful": "Skip a scheduled start when a run has succeeded since the time before.",
    "logDir": "Directory of log files, accepted for definitions written for other servers.",
    "logOutput": "separate: a log for stdout and one for stderr; merged: one log for both, in the order written.",
    "env": "Environment variables of all steps, in order: later ones may refer to earlier ones.",
    "params": "Parameters with their defaults: a text, a list, a map, or a map with the path or URL of a JSON schema.",
    "handlerOn": "Steps that run at the start or end of a run, depending on its status.",
    "steps": "The steps: a list, in which lists stand for groups that run side by side, or a map by name.",
    "preconditions": "Conditions that must be met for the run to start.",
    "precondition": "More conditions, after those of preconditions.",
    "smtp": "The server that mails are sent through.",
    "mailOn": "After which runs a mail is sent.",
    "errorMail": "The mail about a run that failed.",
    "infoMail": "The mail about a run that succeeded.",
    "waitMail": "The mail about a run that waits for an approval.",
    "timeoutSec": "Time limit of the whole run in seconds; 0 for none.",
    "delaySec": "Pause in seconds after each start of a step.",
    "restartWaitSec": "Pause in seconds between stop and start of a restart.",
    "histRetentionDays": "For how many days runs are stored, default 30; below 0: for ever.",
    "maxActiveRuns": "The limit of active runs at once; 0 stands for 1, below 0: unlimited.",
    "maxActiveSteps": "The limit of active steps of a run; 0: unlimited.",
    "maxCleanUpTimeSec": "Seconds between the stop signal and killing a step; 0 stands for 5.",
    "maxOutputSize": "The limit of 'output' in bytes; 0 stands for 1 MiB.",
    "tags": "Labels to search by: a list, or a text with commas.",
    "queue": "The queue that runs wait in; without one, the DAG's own.",
    "workerSelector": "Labels that a worker must have to take a run.",
    "container": "What steps without an executor run in: a container that runs already, or one for the whole run.",
    "ssh": "A host that steps without an executor run on.",
    "registryAuths": "Credentials of image registries by host, or one text for all.",
    "secrets": "Secret values that become variables and are hidden in logs.",
    "otel": "Tracing of runs in Dagu; has no effect here, since Dagbook sends no traces.",
    "runConfig": "What clients should let people edit when they start a run.",
    "llm": "The model of chat steps, which are accepted and fail when they run.",
}

STEP = {
    "name": "Name of the step, unique, at most 40 bytes; one is made when it is missing.",
    "id": "A short name for references to the results of the step: a letter, then letters, digits, '_' and '-'.",
    "description": "What the step is for.",
    "workingDir": "Directory that the step works in.",
    "dir": "The old spelling of workingDir.",
    "executor": "What carries the step out: a type, or a map of type and config. Without one, the shell.",
    "type": "The kind of step, instead of executor, such as shell, http, jq, docker or ssh.",
    "config": "The config of the type.",
    "container": "A container that only this step runs in: the name of one that runs already, or a map.",
    "command": "What to run: a line, a script of several, a list of lines, or one of a program and its arguments.",
    "script": "A script, run by the shell, by its #! line, or by 'command'.",
    "shell": "The shell of this step, as one text or a list.",
    "shellPackages": "Packages that nix-shell provides.",
    "stdout": "A file that gets what the step writes to stdout, too.",
    "stderr": "A file that gets what the step writes to stderr, too.",
    "output": "A variable that later steps find the step's stdout in, or a map of its name, key and omit.",
    "logOutput": "Whether stdout and stderr have one log (merged) or two (separate), instead of the DAG's.",
    "depends": "Names or ids of the steps that have to end first. An empty list cuts the link of a chain.",
    "continueOn": "When dependents run although this step failed or was skipped.",
    "retryPolicy": "How often and when the step is tried again after a failure.",
    "repeatPolicy": "How often and when the step is repeated.",
    "preconditions": "Conditions that have to hold; otherwise the step is skipped.",
    "precondition": "More conditions, after those of preconditions.",
    "mailOnError": "Send the error mail when this step fails.",
    "signalOnStop": "The signal that asks the step to stop, instead of SIGTERM.",
    "call": "The DAG to run as this step.",
    "run": "The old spelling of call.",
    "params": "Parameters for the DAG that is called.",
    "parallel": "Items for each of which the DAG is called; ${ITEM} is the item.",
    "workerSelector": "Labels that a worker must have.",
    "env": "Environment variables of this step.",
    "timeoutSec": "Time limit of the step in seconds; 0 for none.",
    "llm": "The model of a chat step, instead of the DAG's.",
    "messages": "What a chat step says to the model.",
}

OUTPUT = {
    "name": "The variable.",
    "key": "The key among the outputs of the run; without one, the name in camel case.",
    "omit": "Leave it out of the outputs of the run.",
}
LLM = {
    "provider": "openai, anthropic, gemini, openrouter or local.",
    "model": "The model.",
    "system": "What the model is told first.",
    "temperature": "From 0 to 2.",
    "maxTokens": "The longest answer.",
    "topP": "From 0 to 1.",
    "baseURL": "Address of the provider.",
    "apiKeyName": "The variable that has the key.",
    "stream": "Whether the answer comes in parts.",
    "thinking": "Whether and how long the model thinks.",
}
THINKING = {
    "enabled": "Whether the model thinks.",
    "effort": "low, medium, high or xhigh.",
    "budgetTokens": "How much it thinks at most.",
    "includeInOutput": "Whether the output has its thoughts.",
}
MESSAGE = {"role": "system, user, assistant or tool.", "content": "The text."}

HANDLER_ON = {
    "init": "Before the first step.",
    "wait": "When nothing but approvals is left to wait for.",
    "success": "After a run that succeeded.",
    "failure": "After a run that failed.",
    "abort": "After a run that was stopped.",
    "cancel": "The old spelling of abort.",
    "exit": "After every run, as the last thing.",
}
SMTP = {
    "host": "Host of the mail server.",
    "port": "Port of the mail server; 25 without one.",
    "username": "User to log in as.",
    "password": "Password to log in with.",
}
MAIL_ON = {
    "failure": "Send errorMail after a run that failed.",
    "success": "Send infoMail after a run that succeeded.",
    "wait": "Send waitMail when nothing but approvals is left to wait for.",
}
MAIL = {
    "from": "Address of the sender.",
    "to": "Address of the recipient, or a list of them.",
    "prefix": "Prefix of the subject.",
    "attachLogs": "Attach the logs of the steps.",
}
CONTAINER = {
    "exec": "A container that runs already, instead of image.",
    "image": "The image to make a container from.",
    "name": "Name of the container; without one, Dagbook or the daemon makes one up.",
    "pullPolicy": "When the image is pulled: always, missing, never; true is always, false never.",
    "env": "Environment variables of the container.",
    "volumes": "Mounts as source:target, with :ro or :rw behind.",
    "user": "User inside the container.",
    "workingDir": "Directory inside the container.",
    "workDir": "The old spelling of workingDir.",
    "platform": "Platform of the image, such as linux/amd64.",
    "network": "Network: bridge, host, none, container:NAME, or a name.",
    "ports": "Ports to publish, such as 8080:80.",
    "keepContainer": "Leave the container after the run, or after the step whose own it is.",
    "startup": "What keeps the container of a run running: keepalive, entrypoint or command.",
    "command": "What the container runs when startup is command.",
    "waitFor": "When the container is ready: running or healthy.",
    "logPattern": "A regular expression that its log has to show before it is ready.",
    "restartPolicy": "no, always or unless-stopped.",
}
SSH = {
    "user": "User to log in as.",
    "host": "Host to log in to.",
    "port": "Port of the host, 22 when it is not given.",
    "key": "File of the private key.",
    "password": "Password to log in with.",
    "strictHostKey": "Refuse hosts whose key is not known; true unless the server has another default.",
    "knownHostFile": "File of the known hosts.",
    "shell": "The shell that runs each command there, as one text or a list; without one, the login shell.",
}
SECRET = {
    "name": "The variable that gets the value.",
    "provider": "Where the value is: env or file.",
    "key": "The variable or file that holds it.",
    "options": "Options of the provider; env and file have none.",
}
RUN_CONFIG = {
    "disableParamEdit": "Do not offer to edit parameters.",
    "disableRunIdEdit": "Do not offer to edit the run's id.",
}
RETRY = {
    "limit": "How many times at most, after the first.",
    "intervalSec": "Seconds to wait before each time.",
    "exitCode": "Only after these exit codes; after any but 0 when there are none.",
    "backoff": "What the wait is multiplied by each time: above 1, or true for 2.",
    "maxIntervalSec": "The longest wait in seconds that backoff may lead to.",
}
REPEAT = {
    "repeat": "while the condition holds, until it holds; true: as long as the step succeeds.",
    "condition": "What is checked after each time.",
    "expected": "The expected value: the exact text, or re: and a regular expression.",
    "exitCode": "Exit codes that are checked when there is no condition.",
    "intervalSec": "Seconds to wait between times.",
    "limit": "How many times at most, the first included; 0 for any number.",
    "backoff": "What the wait is multiplied by each time: above 1, or true for 2.",
    "maxIntervalSec": "The longest wait in seconds that backoff may lead to.",
}
CONDITION = {
    "condition": "A command that has to succeed; with expected, a text to compare.",
    "command": "The same as condition.",
    "expected": "The expected value: the exact text of a line, or re: and a regular expression.",
    "negate": "Turn the answer around.",
}
EXECUTOR = {
    "type": "What carries the step out, such as http, ssh, docker, jq, mail or archive.",
    "config": "What the type needs to know.",
}
CONTINUE_ON_KEYS = {
    "failure": "Go on when the step failed.",
    "failed": "Another spelling of failure.",
    "skipped": "Go on when the step was skipped.",
    "exitCode": "Go on after these exit codes.",
    "output": "Go on when its stdout holds one of these texts, or matches one after re:.",
    "markSuccess": "Count a tolerated failure as success.",
}
PARALLEL = {
    "items": "What to call it for, each item once.",
    "maxConcurrent": "How many run at once; 10 when it is not given.",
}
SCHEDULE = {
    "start": "When runs start.",
    "stop": "When running runs are stopped.",
    "restart": "When running runs are stopped and started again.",
}
OTEL = {
    "enabled": "Whether runs are traced.",
    "endpoint": "Where traces are sent to.",
    "headers": "Headers that go with them.",
    "insecure": "Send without TLS.",
    "timeout": "Time limit of sending, such as 5s.",
    "resource": "Attributes of all traces.",
}

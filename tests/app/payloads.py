"""Names and paths that nobody should be called: what attackers send (promises S2)."""

from __future__ import annotations

CANARY = "dagbook-canary"  # files of this name lie where no payload may reach

_UP = [
    "../", "..\\", "..//", "..\\/", "./../", "....//", "..../", ".../", "..;/", "..\0/", "..\t/", "..\n/",
    "%2e%2e%2f", "%2e%2e/", "..%2f", "%2E%2E%5C", "..%5c", "%252e%252e%252f", "..%252f", "%25252e%25252e%25252f",
    "%c0%ae%c0%ae%c0%af", "..%c0%af", "..%c1%9c", "%e0%80%ae%e0%80%ae%e0%80%af", "%uff0e%uff0e%u2215", "%00../",
    "..%00/",
    "\u2025/", "\uff0e\uff0e/", "..\u2215", "..\u2044", "..\uff0f", "..\uff3c", "..\u29f8", "\u2024\u2024/",
    "\ufe52\ufe52/",
]  # fmt: skip
_ABSOLUTE = [
    "/etc/passwd", "//etc/passwd", "/proc/self/environ", "/dev/null", "file:///etc/passwd", "\\\\host\\share\\x",
    "C:\\x",
    "~/x", "/", "//", "\\", f"/tmp/{CANARY}", f"/{CANARY}", "%2Fetc%2Fpasswd", "%252Fetc%252Fpasswd",
]  # fmt: skip
_DEVICES = ["CON", "con.yaml", "AUX", "NUL", "nul.txt", "COM1", "aux.yml", "CONIN$"]
_DOTS = [
    ".",
    "..",
    "...",
    "....",
    "%2e",
    "%2e%2e",
    ".%00",
    "..%00",
    ".yaml",
    "..yaml",
    ".git/config",
    "..;",
    "./",
    "a/..",
    "a/./b",
]
_BYTES = [
    "\0", "a\0b", "a\0.yaml", "%00", "a%00b", "%2500", "\x01", "\x1b[2J", "\ud7ff", "%ff", "%c3%28",
    "%ed%a0%80",
    "\ufeff", "\u202e", "\U0001f4a3", "e\u0301", "\u2028", " ",
    "  x  ", "\t",
]  # fmt: skip
_LONG = [
    "x" * 41,
    "x" * 65,
    "x" * 256,
    "../" * 5000,
    "." * 300,
]
_LINES = [
    "x\r\nSet-Cookie: a=b", "x\nx", "x\rx", "%0d%0aLocation:%20//x", "%0a", "x%0D%0A%0D%0A<html>", "\r\n", "x\x85x",
    "x\u2029level=error forged",
]  # fmt: skip
_OPTIONS = ["-", "-rf", "--help", "--config=/etc/passwd", "-c", "-o/tmp/x", "-x\0"]
_SHELL = [
    f";touch {CANARY}", f"$(touch {CANARY})", f"`touch {CANARY}`", f"|touch {CANARY}", f"&& touch {CANARY}",
    f"> {CANARY}",
    f"x\ntouch {CANARY}", "${HOME}", "${IFS}", "*", "$((1+1))",
    "'", '"', "\\x",
]  # fmt: skip
_TEMPLATES = [
    "{{7*7}}",
    "${7*7}",
    "<%= 7*7 %>",
    "${jndi:ldap://127.0.0.1:1/x}",
    "%s%n%x",
    "{0.__class__}",
]
_SQL = [
    "' OR '1'='1",
    "'; DROP TABLE runs; --",
    '" OR ""="',
    "x' UNION SELECT 1--",
    "%",
    "_",
    "1;SELECT pg_sleep(9)",
    "x\\",
    "NULL",
]
_MARKUP = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "javascript:alert(1)",
]
_WORDS = [
    "latest", "search", "tags", "validate", "enqueue", "null", "NaN",
    "__proto__",
    "openapi.json", "9" * 400,
]  # fmt: skip

TRAVERSALS = [up * (1 + number % 3) + CANARY for number, up in enumerate(_UP)]  # the folders around are three deep
PAYLOADS = list(
    dict.fromkeys(
        TRAVERSALS + _ABSOLUTE + _DEVICES + _DOTS + _BYTES + _LONG + _LINES + _OPTIONS + _SHELL + _TEMPLATES + _SQL
        + _MARKUP + _WORDS + [""]
    )
)  # fmt: skip
NUMBERS = [
    "0", "-1", "-0", "+1", "1.0", "1e3", "1e309", "NaN", "Infinity", "0x7f", "1_000", " 1", "\u00b2", "\u0661", "true",
    "32768", "2147483648", "-2147483649", "4294967296", "9223372036854775807", "9223372036854775808",
    "-9223372036854775809", "9" * 400, "9" * 5000, "0" * 5000 + "1",
]  # fmt: skip

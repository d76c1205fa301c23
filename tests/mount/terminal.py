"""A terminal for a command, and the person at it.

terminal.py SCRIPT COMMAND...: runs COMMAND as the foreground job of a session on a new terminal of
40 rows and 100 columns. SCRIPT is Python: it has term, an object with the methods below. Prints what
it prints; exits with 1 and a traceback when it fails.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


class Terminal:
    def __init__(self, command):
        self.command = command
        self.text = b''
        self.shell, self.fd = pty.fork()
        if self.shell == 0:
            self.be_shell()
        self.size(40, 100)
        os.write(self.fd, b'\n')

    # A shell with job control, as far as is needed: one job, told to go on when it stops.
    def be_shell(self):
        sys.stdin.readline()
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.execvp(self.command[0], self.command)
        try:
            os.setpgid(job, job)
        except OSError:
            pass
        while True:
            _, status = os.waitpid(job, os.WUNTRACED)
            os.tcsetpgrp(0, os.getpgrp())
            if not os.WIFSTOPPED(status):
                break
            os.write(1, b'<stopped>')
            sys.stdin.readline()
            os.tcsetpgrp(0, job)
            os.killpg(job, signal.SIGCONT)
        code = os.waitstatus_to_exitcode(status)
        os.write(1, b'<status %d>' % code)
        os._exit(0)

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def type(self, text):
        os.write(self.fd, text)

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return False
        try:
            got = os.read(self.fd, 65536)
        except OSError:
            return False
        self.text += got
        return bool(got)

    def expect(self, text):
        """Waits until the text came; forgets all up to its end and returns it."""
        end = time.monotonic() + 20
        while text not in self.text:
            if not self.read(max(0, end - time.monotonic())):
                raise SystemExit(f'{text!r} did not come, but {self.text!r}')
        at = self.text.index(text) + len(text)
        seen, self.text = self.text[:at], self.text[at:]
        return seen


term = Terminal(sys.argv[2:])
try:
    exec(sys.argv[1])
finally:
    os.close(term.fd)
    os.waitpid(term.shell, 0)

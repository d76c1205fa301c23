"""What all rows need: rounds that alternate, results and their table, the machine's facts."""
import json
import os
import re
import statistics
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
GIB = 1 << 30
OURS = "lineagefs"
ROWS = {}  # name -> function, in the order of the table


class Absent(Exception):
    """What was to be measured is not there; says what, in words for the table."""


def row(name):
    """A group of the table's lines. The docstring says in one line how it is measured."""
    def register(function):
        ROWS[name] = function
        return function
    return register


class Sizes:
    """Full ones are those of the goals."""
    def __init__(self, quick):
        self.sequential = 16 << 20 if quick else 2 * GIB
        self.large = 8 << 20 if quick else GIB
        self.random = 2000 if quick else 400000
        self.directories = 4 if quick else 100  # of 1,000 files: those that are read and listed
        self.small_directories = 1 if quick else 20  # likewise: those that are logged
        self.durable = 40 if quick else 2000
        self.huge_directories = 5 if quick else 1000
        self.readers = 20 if quick else 10000
        self.disk = GIB if quick else 12 * GIB


class Bench:
    def __init__(self, program, helpers, work, disk, peers, rounds, quick):
        self.program, self.helpers, self.work = program, helpers, work
        self.disk, self.peers = disk, peers
        self.rounds, self.quick, self.sizes = rounds, quick, Sizes(quick)
        self.lines = []
        self.sources = {}

    # --- what is measured ---

    def io(self, *args, env=None):
        """Runs a helper (io.c); its numbers."""
        words = [os.path.join(self.helpers, "io"), *map(str, args)]
        out = subprocess.run(words, check=True, stdout=subprocess.PIPE, env=env).stdout
        return [float(n) for n in out.split()]

    def small_source(self):
        return self._source("small", self.sizes.small_directories, 1000, 4096)

    def large_source(self):
        return self._source("large", 1, 1, self.sizes.large)

    def many_source(self):
        return self._source("many", self.sizes.directories, 1000, 4096)

    def _source(self, name, directories, files, length):
        """A folder of random files, beside the disk and in the page cache."""
        path = os.path.join(self.work, name)
        if name not in self.sources:
            self.io("tree", path, directories, files, length)
            self.sources[name] = file_list(path, path + ".list")
        self.io("read-all", self.sources[name])
        return path

    def settle(self, written=256 << 20):
        """Before a timed write of so many bytes: nobody's old writes are on their way, and the memory
        that it takes has just been in use. A virtual machine gives back what it does not use, and gets
        it again at a tenth of the speed of a write."""
        os.sync()
        self.io("touch", written + written // 8)

    def alternate(self, sides, times=1):
        """sides: name -> function that returns {measure: seconds}, or raises Absent. Returns
        {name: {measure: [seconds, one a round]}}; what is absent is a sentence instead. Who takes over
        a minute is measured in the first round only. `times` as many rounds, of what is short."""
        taken, slow = {}, set()
        for n in range(self.rounds * times):
            for name in list(sides) if n % 2 == 0 else reversed(list(sides)):
                if isinstance(taken.get(name), str) or name in slow:
                    continue
                try:
                    figures = sides[name]()
                except Absent as absent:
                    taken[name] = str(absent)
                    continue
                except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                    progress(f"  {name} failed: {error}")
                    taken[name] = "failed: " + re.sub(r"[|\s]+", " ", str(error))[-100:]
                    continue
                progress(f"  {name}: " + ", ".join(f"{k} {v:.4g} s" for k, v in figures.items()))
                if sum(figures.values()) > 60:
                    slow.add(name)
                for measure, seconds in figures.items():
                    taken.setdefault(name, {}).setdefault(measure, []).append(seconds)
        return taken

    # --- what is said of it ---

    def compare(self, what, taken, measure, against, goal=None, their_measure=None, ours=OURS):
        """A line: how many times as fast as `against` we are, from pairs taken in one round."""
        mine, theirs = taken[ours], taken[against]
        line = {"what": what, "against": against, "goal": f"{goal:g}" if goal else "", "met": ""}
        for absent in (mine, theirs):
            if isinstance(absent, str):
                self.lines.append({**line, "ours": "", "theirs": "", "ratio": absent})
                return
        mine, theirs = mine[measure], theirs[their_measure or measure]
        ratios = [t / m for m, t in zip(mine, theirs)]
        ratio = statistics.median(ratios)
        spread = f"{figure(min(ratios))} to {figure(max(ratios))}" if len(ratios) > 1 else "one round"
        line.update(ours=seconds_text(statistics.median(mine)),
                    theirs=seconds_text(statistics.median(theirs)),
                    ratio=f"**{figure(ratio)}** ({spread})")
        if goal:
            line["met"] = "yes" if ratio >= goal else "no"
        self.lines.append(line)

    def absolute(self, what, values, unit, goal, met, against=""):
        """A line of a figure that is compared with a number."""
        line = {"what": what, "against": against, "theirs": "", "ratio": "", "goal": goal, "met": ""}
        if isinstance(values, str):
            self.lines.append({**line, "ours": "", "ratio": values})
            return
        value = statistics.median(values)
        line["ours"] = f"**{figure(value)}** {unit} ({figure(min(values))} to {figure(max(values))})"
        if met:
            line["met"] = "yes" if met(value) else "no"
        self.lines.append(line)

    def run_row(self, name):
        progress(f"{name}")
        self.lines = []
        before, start = load(), time.time()
        ROWS[name](self)
        return {"name": name, "how": ROWS[name].__doc__, "lines": self.lines, "rounds": self.rounds,
                "commit": commit(), "day": time.strftime("%Y-%m-%d %H:%M", time.gmtime(start)),
                "load": f"{before:.1f}, {load():.1f}", "took": round(time.time() - start)}


def progress(text):
    print(text, flush=True)


def seconds_of(function):
    start = time.monotonic()
    function()
    return time.monotonic() - start


def file_list(folder, name):
    """Writes the paths of all files of a folder, in order, a line each."""
    paths = [os.path.join(at, f) for at, _, files in os.walk(folder) for f in files]
    with open(name, "w") as out:
        out.writelines(path + "\n" for path in sorted(paths))
    return name


def quiet(*words, **more):
    """Runs a command that must succeed; what it says is shown only when it does not."""
    done = subprocess.run([str(w) for w in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, **more)
    if done.returncode:
        raise RuntimeError(f"{words}: exit {done.returncode}: {done.stdout.decode()[-2000:]}")
    return done.stdout.decode()


def figure(value):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def seconds_text(seconds):
    return f"{figure(seconds)} s" if seconds >= 0.1 else f"{figure(seconds * 1e3)} ms"


# --- the machine ---

def load():
    return os.getloadavg()[0]


def commit():
    git = ["git", "-C", TOP]
    try:
        name = quiet(*git, "rev-parse", "--short", "HEAD").strip()
        return name + ("+" if quiet(*git, "status", "--porcelain", "--", "fs", "core").strip() else "")
    except (OSError, RuntimeError):
        return "?"


def facts(bench):
    with open("/proc/cpuinfo") as f:
        cpu = re.search(r"model name\s*: (.*)", f.read())
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1])
    return [
        ("machine", f"{os.cpu_count()} cores ({cpu.group(1) if cpu else os.uname().machine}), "
                    f"{memory / (1 << 20):.0f} GiB of memory, Linux {os.uname().release}"),
        ("program", f"{quiet(bench.program, 'version').strip()}, commit {commit()}"),
        ("mount", bench.mount_facts()),
        ("filesystem", bench.disk.facts()),
        ("beside it", "; ".join(peer.text() for peer in bench.peers.values())),
    ]


# --- the document ---

BEGIN = "<!-- what follows is written by tests/bench/run -->"
END = "<!-- what follows is written by hand -->"
HEAD = ("| what | against | lineagefs | theirs | ratio of speed | goal | met |\n"
        "| --- | --- | ---: | ---: | ---: | ---: | --- |\n")


def table(rows):
    text = HEAD
    for r in rows:
        text += f"| **{r['name']}** load {r['load']}; {r['day']}, {r['commit']} | | | | | | |\n"
        for line in r["lines"]:
            cells = [line[c] for c in ("what", "against", "ours", "theirs", "ratio", "goal", "met")]
            text += "| " + " | ".join(cells) + " |\n"
    return text


def document(rows, machine):
    text = "".join(f"- {name}: {fact}\n" for name, fact in machine)
    rounds = sorted({r["rounds"] for r in rows})
    text += (f"- rounds: {' or '.join(map(str, rounds))}; load is that of one minute, before and after"
             "\n\n" + table(rows) + "\nHow each is measured:\n\n")
    return text + "".join(f"- **{r['name']}**: {' '.join(r['how'].split())}\n" for r in rows)


def write_document(path, rows, machine):
    """Replaces what lies between the marks, and leaves what is written by hand."""
    with open(path) as f:
        old = f.read()
    head, rest = old.split(BEGIN)
    tail = rest.split(END)[1]
    with open(path + ".new", "w") as f:
        f.write(head + BEGIN + "\n\n" + document(rows, machine) + "\n" + END + tail)
    os.rename(path + ".new", path)


class Saved:
    """Rows that were measured, one JSON document: a long run that is stopped keeps what it has."""
    def __init__(self, path):
        self.path = path

    def read(self):
        try:
            with open(self.path) as f:
                return json.load(f)
        except FileNotFoundError:
            return {}

    def put(self, measured):
        rows = self.read()
        rows[measured["name"]] = measured
        with open(self.path + ".new", "w") as f:
            json.dump(rows, f, indent=1)
        os.rename(self.path + ".new", self.path)

    def ordered(self):
        rows = self.read()
        return [rows[name] for name in ROWS if name in rows]

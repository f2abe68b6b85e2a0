"""The parent of warm starts: it has imported what takes long to import, and forks.

`start` runs it as `python -m stages.lab.processes.warm`. It has one thread, no socket but to those
who ask it, and nothing of a target: no stage, no wrong turn, no file of a learner. It ends when its
starter does, however that is. Who wants a child knocks on a channel, and hands over the end of a
new connection. On that go a line of JSON and the descriptors; back come the child's number and, at
last, its exit code. Each byte on it is a signal for the child, and its end is SIGKILL.

Not the forkserver of multiprocessing, which was tried: a child of it starts one of its own, so each
lane would import all again; and it runs the main module of its starter again in each child.
"""

import gc
import json
import os
import runpy
import selectors
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from stages.lab.processes.children import ALL, kill_group, receive
from stages.lab.processes.forked import Wanted, become, tell, why_not
from stages.lab.processes.parent import READY, Known
from stages.lab.processes.preload import load

IMPORT_S = 120  # one that hangs in an import cannot see that its starter ends: it ends by itself
ASK_S = 5.0  # for a request, which has been written when its knock is heard; nobody else is served
PASSED = 16  # descriptors in a request: a server has five


class Parent:
    """The loop that waits for knocks, for signals to children, and for the end of each of them."""

    def __init__(self, channel: socket.socket) -> None:
        self.base = sys.path[1:]  # behind our own working directory
        self._imported = {name for name in sys.modules if "." not in name}
        self._channel = channel
        self._children = dict[int, socket.socket]()
        self._selector = selectors.DefaultSelector()
        self._woken, wakes = socket.socketpair()
        for end in (self._woken, wakes):
            end.setblocking(False)
        self._wakes = wakes
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._attend(self._woken, self._reap)
        self._attend(channel, self._knocked)

    def _attend(
        self, source: socket.socket, heard: Callable[[socket.socket], Wanted | None]
    ) -> None:
        self._selector.register(source, selectors.EVENT_READ, heard)

    def _leave(self, source: socket.socket) -> None:
        self._selector.unregister(source)
        source.close()

    def serve(self) -> Wanted:
        """Fork children until the starter ends. Returns in a child only, with what it is."""
        while True:
            for key, _ in self._selector.select():
                assert isinstance(key.fileobj, socket.socket), key
                if key.fileobj.fileno() != -1:  # one before may have closed it
                    wanted: Wanted | None = key.data(key.fileobj)
                    if wanted is not None:
                        return wanted

    def _knocked(self, channel: socket.socket) -> Wanted | None:
        try:
            _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        except ConnectionError:
            descriptors = []
        if descriptors:
            connection = socket.socket(fileno=descriptors[0])
            try:
                return self._asked(connection, _hear(connection))
            except (OSError, ValueError):  # who asked has gone meanwhile, or there is no memory
                connection.close()
        elif channel is self._channel:
            for pid in self._children:
                kill_group(pid)
            os._exit(0)  # at once: to take all modules down takes longer than they are of use
        else:
            self._leave(channel)
        return None

    def _asked(self, connection: socket.socket, wanted: Wanted) -> Wanted | None:
        """Fork a child, or say why not."""
        reason, theirs = why_not(wanted, self.base, self._imported), None
        if reason is None:
            try:
                if wanted.starts_more:
                    ours, theirs = socket.socketpair()
                    self._attend(ours, self._knocked)
                if (pid := os.fork()) == 0:
                    self._let_go()
                    connection.close()
                    return wanted if theirs is None else wanted.with_channel(theirs.detach())
                self._children[pid] = connection
                self._attend(connection, self._told)
            except OSError as exc:
                reason = f"The parent of warm starts cannot fork: {exc}."
        for descriptor in wanted.descriptors:
            os.close(descriptor)
        if theirs is not None:
            theirs.close()  # a channel that nobody has ends at once
        connection.sendall(_line({"pid": pid} if reason is None else {"plain": reason}))
        if reason is not None:
            connection.close()
        return None

    def _let_go(self) -> None:
        """Be no parent any more: close what is not the child's, and lead a session of our own."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sources = [key.fileobj for key in self._selector.get_map().values()]
        self._selector.close()  # and do not unregister: what epoll knows is the parent's as well
        for source in (*sources, self._wakes):
            assert isinstance(source, socket.socket), source
            source.close()
        os.setsid()

    def _told(self, connection: socket.socket) -> None:
        """Send a child the signals that somebody wants; when nobody is there any more, kill it."""
        (pid,) = [pid for pid, each in self._children.items() if each is connection]
        numbers = receive(connection)
        for number in numbers or bytes([ALL]):
            with suppress(OSError):  # it may have no right: a child that has another user
                os.kill(pid, number or signal.SIGKILL)
            if number == ALL:
                kill_group(pid)
        if not numbers:
            self._leave(connection)

    def _reap(self, woken: socket.socket) -> None:
        """Wait for the children that have ended, and say how."""
        receive(woken)
        for pid, connection in list(self._children.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                # Now, or never: later, its number may be that of another group. For the same reason
                # nobody but us sends it signals: here they stand in one row with its end.
                kill_group(pid)
                del self._children[pid]
                if connection.fileno() != -1:
                    with suppress(OSError):  # nobody is there any more
                        connection.sendall(_line({"ended": os.waitstatus_to_exitcode(status)}))
                    self._leave(connection)


def _hear(connection: socket.socket) -> Wanted:
    """Return what is asked for on a connection."""
    connection.settimeout(ASK_S)
    told, descriptors, _, _ = socket.recv_fds(connection, 65_536, PASSED)
    try:
        while not told.endswith(b"\n"):
            if not (new := connection.recv(65_536)):
                raise ConnectionError("Who asked has gone.")
            told += new
        return Wanted(**json.loads(told), descriptors=descriptors)
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise


def _line(document: dict[str, object]) -> bytes:
    return json.dumps(document).encode() + b"\n"


def main(channel: socket.socket) -> str:
    """Be the parent of warm starts; returns in a child only, with the module that it runs."""
    channel.set_inheritable(False)
    signal.alarm(IMPORT_S)
    load()
    gc.collect()
    gc.freeze()  # no child looks through all that again, nor copies the pages that it is on
    signal.alarm(0)
    parent = Parent(channel)
    channel.send(READY)
    wanted = parent.serve()
    become(wanted, parent.base)
    if wanted.starts_more:
        ours = socket.socket(fileno=wanted.targets[-1])
        ours.set_inheritable(False)
        Known.take(ours)
    return wanted.words[0]


run: Callable[[str], object] = vars(runpy)["_run_module_as_main"]  # what `python -m` calls

if __name__ == "__main__":
    module = main(socket.socket(fileno=int(sys.argv[1])))
    try:
        run(module)  # where a stack is dumped, it has three lines more than after a plain start
    except (Exception, KeyboardInterrupt) as exc:
        tell(exc)

# SPDX-License-Identifier: MIT
"""A wire on loopback that can be made to swallow what is sent over it, and be cut."""
import selectors
import socket
import struct
import threading


class Relay:
    """Connections to port go on to target. One thread; hold() and cut() are said to it and done when they return."""

    def __init__(self, target):
        self.target = target
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.other = {}  # end by end
        self.is_held, self.is_over, self.count = False, False, 0
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def hold(self):
        """From now on what is sent reaches nobody, as far as its sender can see it does."""
        with self.lock:
            self.is_held = True

    def cut(self):
        """All connections are reset; those that come later pass again. The number of connections that were cut."""
        with self.lock:
            count = len(self.other) // 2
            for end in self.other:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.selector.unregister(end)
                end.close()
            self.other = {}
            self.is_held = False
        return count

    def stop(self):
        self.is_over = True
        self.thread.join()
        self.cut()
        self.listener.close()

    def run(self):
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        while not self.is_over:
            ready = self.selector.select(0.02)
            with self.lock:
                for key, _ in ready:
                    if key.fileobj is self.listener:
                        self.accept()
                    elif key.fileobj in self.other:
                        self.pass_on(key.fileobj)

    def accept(self):
        near, _ = self.listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self.target), 1)
        except OSError:
            near.close()
            return
        self.count += 1
        self.other.update({near: far, far: near})
        for end in (near, far):
            self.selector.register(end, selectors.EVENT_READ)

    def pass_on(self, end):
        try:
            data = end.recv(65536)
            if data and not self.is_held:
                self.other[end].sendall(data)
            elif not data:
                raise OSError("the end")
        except OSError:
            for one in (end, self.other[end]):
                self.selector.unregister(one)
                one.close()
                self.other.pop(one)

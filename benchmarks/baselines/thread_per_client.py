"""The design of the paper that this project grew from: ``python thread_per_client.py PORT``.

Each client has a thread. The list of clients is locked while a line is sent to the other clients,
one by one. Rooms are an addition to that design, for works with several rooms. It has no log.
"""

from __future__ import annotations

import socket
import sys
import threading

clients: dict[socket.socket, bytes] = {}
lock = threading.Lock()


def broadcast(line: bytes, sender: socket.socket) -> None:
    with lock:
        room = clients[sender]
        for client in clients:
            if client is not sender and clients[client] == room:
                try:
                    client.sendall(line)
                except OSError:
                    client.close()  # its own thread removes it from the list


def enter(client: socket.socket, room: bytes) -> None:
    with lock:
        clients[client] = room
        client.sendall(b"* in " + room + b"\n")


def serve(client: socket.socket) -> None:
    try:
        lines = client.makefile("rb")
        name = lines.readline().rstrip(b"\n")
        enter(client, b"lobby")
        for line in lines:
            if line.startswith(b"/join "):
                enter(client, line[6:].rstrip(b"\n"))
            else:
                broadcast(b"[" + name + b"]: " + line, client)
    except OSError:
        pass
    finally:
        with lock:
            clients.pop(client, None)
        client.close()


def main(port: int) -> None:
    threading.stack_size(256 * 1024)
    listener = socket.create_server(("127.0.0.1", port), backlog=1024)
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))

"""A TCP client of Python's own that half-closes: client.py PORT COUNT BYTES THREADS [CONNECT_AUTHORITY].

Opens COUNT connections to 127.0.0.1:PORT (through CONNECT when an authority is given), sends BYTES bytes on each, ends its own
direction, and reads on to the server's end. Prints how many got the right answer.
"""
import hashlib
import socket
import sys
import threading

port, count, size, threads = map(int, sys.argv[1:5])
authority = sys.argv[5] if len(sys.argv) > 5 else None
data = bytes(i % 251 for i in range(size))
wanted = b"hello\n" + f"{size} {hashlib.sha256(data).hexdigest()}\n".encode()
good, bad, lock = 0, [], threading.Lock()


def once():
    with socket.create_connection(("127.0.0.1", port), timeout=30) as conn:
        file = conn.makefile("rb")
        if authority is not None:
            conn.sendall(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            status = file.readline()
            if b" 200 " not in status:
                return status
            while file.readline() != b"\r\n":
                pass
        conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
        return file.read()


def work(times):
    global good
    for _ in range(times):
        try:
            got = once()
        except OSError as error:
            got = repr(error).encode()
        with lock:
            if got == wanted:
                good += 1
            else:
                bad.append(got[:200])


workers = [threading.Thread(target=work, args=(count // threads,)) for _ in range(threads)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
print(f"{good} good, {len(bad)} bad {bad[:1]}")

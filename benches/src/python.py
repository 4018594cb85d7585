"""The same work by multiprocessing: `python.py WHAT COUNT` does it and prints the seconds that it took."""

import multiprocessing
import sys
import time


def seconds(work):
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


def nothing():
    pass


def square(x):
    return x * x


def send(connection, n):
    for _ in range(n):
        connection.send_bytes(b"7" * 64)


def put(queue, n):
    for i in range(n):
        queue.put((i, 1.5, "a short name"))


def pipe(n):
    receiver, sender = multiprocessing.Pipe(False)
    process = multiprocessing.Process(target=send, args=(sender, n + 1))
    process.start()
    assert len(receiver.recv_bytes()) == 64

    def receive():
        for _ in range(n):
            assert len(receiver.recv_bytes()) == 64

    took = seconds(receive)
    process.join()
    return took


def queue(n):
    items = multiprocessing.Queue(1024)
    process = multiprocessing.Process(target=put, args=(items, n + 1))
    process.start()
    assert items.get()[0] == 0

    def get():
        for i in range(1, n + 1):
            assert items.get()[0] == i

    took = seconds(get)
    process.join()
    return took


def dictionary(n):
    with multiprocessing.Manager() as manager:
        d, lock = manager.dict(), manager.Lock()
        keys = ["key%08d" % i for i in range(n)]
        d.update({key: i for i, key in enumerate(keys)})

        def work():
            for i, key in enumerate(keys):
                assert d[key] == i
            for key in keys:
                d[key] = 7
            for key in keys:
                with lock:
                    d[key] += 1

        return seconds(work)


def pool(work):
    with multiprocessing.Pool(2) as workers:
        assert workers.map(square, range(100)) == [x * x for x in range(100)]
        return seconds(lambda: work(workers))


def apply(n):
    return pool(lambda workers: [workers.apply(nothing) for _ in range(n)])


def apply_async(n):
    return pool(lambda workers: [r.get() for r in [workers.apply_async(nothing) for _ in range(n)]])


def pool_map(n):
    def work(workers):
        assert len(workers.map(square, range(n))) == n

    return pool(work)


if __name__ == "__main__":
    multiprocessing.set_start_method("fork")
    what = {
        "pipe": pipe,
        "queue": queue,
        "dict": dictionary,
        "apply": apply,
        "apply_async": apply_async,
        "map": pool_map,
    }
    print(what[sys.argv[1]](int(sys.argv[2])))

"""One member of a round, as a process: `python peers_member.py RANK ADDRESS…`.

It does what its standard input says, one command a line, and prints a line for each. Meanwhile
`ask` has it print for how long it has been in a collective, and `go` ends a slow computation.
"""

import os
import sys
import threading
from queue import SimpleQueue

import numpy as np
import tensorflow as tf

from elasticdl_like.worker.peers import Peers, PeersLostError


class Member:
    def __init__(self, peers):
        self.peers = peers
        self.commands = SimpleQueue()
        self.go = threading.Event()
        self.vector = tf.constant([1.0, 2.0, 3.0, 4.0]) * (peers.rank + 1)
        self.functions = {
            name: tf.function(function, autograph=False)
            for name, function in (
                ("batch", self.with_batch),
                ("nothing", self.with_nothing),
                ("slow", self.with_slow_batch),
                ("wrong", self.with_wrong_batch),
            )
        }
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for line in sys.stdin:
            match line.strip():
                case "ask":
                    print(self.peers.exchanging_s, flush=True)
                case "go":
                    self.go.set()
                case command:
                    self.commands.put(command)

    def run(self):
        while command := self.commands.get():
            print(self.answer(command), flush=True)

    def answer(self, command):
        if command == "integers":
            return self.peers.sum_integers(np.array([[2**40, self.peers.rank]])).tolist()
        if command == "broadcast":
            data = bytes(range(256)) * 41 if self.peers.is_chief else b""
            shared = self.peers.broadcast(data)
            return f"{len(shared)} {shared[-3:]!r}"
        try:
            last, (vector, matrix), own = self.peers.exchange(self.functions[command])
        except (PeersLostError, tf.errors.OpError) as error:
            return type(error).__name__
        return f"{vector.numpy().tolist()} {last.tolist()} {matrix.numpy().sum()} {own.numpy()}"

    def with_batch(self):
        return self.summed(self.vector, tf.ones([2, 3]), tf.constant("batch"))

    def with_nothing(self):
        return self.summed(tf.zeros([4]), tf.zeros([2, 3]), tf.constant("nothing"))

    def with_slow_batch(self):
        def compute():
            print("computes", flush=True)
            self.go.wait()
            self.go.clear()
            return np.float32(1)

        slow = tf.numpy_function(compute, [], tf.float32)
        return self.summed(self.vector * slow, tf.ones([2, 3]), tf.constant("slow"))

    def with_wrong_batch(self):
        def fail():
            raise RuntimeError("no such class")

        wrong = tf.numpy_function(fail, [], tf.float32)
        return self.summed(self.vector * wrong, tf.ones([2, 3]), tf.constant("wrong"))

    def summed(self, vector, matrix, own):
        vector.set_shape([4])
        vector, matrix = self.peers.all_reduce([vector, matrix])
        return vector[2:], [vector, matrix], own


if __name__ == "__main__":
    Member(Peers(sys.argv[2:], int(sys.argv[1]))).run()
    os._exit(0)  # as a trainer does: TensorFlow would wait for the members that are gone

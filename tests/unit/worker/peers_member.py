"""One member of a round, as a process: `python peers_member.py RANK ADDRESS…`."""

import os
import sys

import numpy as np
import tensorflow as tf

from elasticdl_like.worker.peers import Peers, PeersLostError


def main() -> None:
    rank, addresses = int(sys.argv[1]), sys.argv[2:]
    peers = Peers(addresses, rank)
    vector = tf.constant([1.0, 2.0, 3.0, 4.0]) * (rank + 1)
    summed, read = peers.exchange([vector, tf.ones([2, 3])], 2)
    print(summed[1].numpy().sum(), summed[0].numpy().tolist(), read.tolist(), flush=True)
    print(peers.sum_integers(np.array([[2**40, rank]])).tolist(), flush=True)
    data = bytes(range(256)) * 41 if rank == 0 else b""
    print(len(peers.broadcast(data)), peers.broadcast(data)[-3:], flush=True)
    print(peers.exchanging_s, flush=True)
    try:
        while True:
            peers.exchange([vector])
    except PeersLostError as error:
        print(f"lost: {str(error)[:20]}", flush=True)
        os._exit(0)  # as a trainer does: TensorFlow would wait for the members that are gone


if __name__ == "__main__":
    main()

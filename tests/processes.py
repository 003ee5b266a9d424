"""Where tests that kill processes get them from: a server that forks what has imported everything once.

There is one such server for a test process, whoever asks first: so all that any of them needs stands here.
"""

import multiprocessing

FORK = multiprocessing.get_context("forkserver")
FORK.set_forkserver_preload(
    [
        *("custody.monitor", "custody.channels.email", "custody.store.home", "custody.witness"),
        *("custody.cli.main", "custody.cli.books", "custody.cli.tools", "custody.cli.log", "witness.life"),
    ]
)

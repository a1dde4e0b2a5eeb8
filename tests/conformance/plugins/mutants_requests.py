"""Backends that mix up or lose requests side by side."""

import threading
import time
from concurrent.futures import Future

from correct import Correct


class AnswersTheLatestRequest(Correct):
    class Model(Correct.Model):
        def submit(self, batch):
            self.latest = batch

            def late():
                time.sleep(0.01)
                return self.infer(self.latest)

            return self.pool.submit(late)


class ForgetsTheFutureOfAnError(Correct):
    class Model(Correct.Model):
        def submit(self, batch):
            future = Future()
            self.pool.submit(lambda: future.set_result(self.infer(batch)))
            return future


class ClosesWithRequestsPending(Correct):
    class Model(Correct.Model):
        def submit(self, batch):
            future = Future()
            threading.Timer(1.0, lambda: future.set_result(self.infer(batch))).start()
            return future

        def close(self):
            self.closed = True


class NeverFinishes(Correct):
    class Model(Correct.Model):
        def submit(self, batch):
            return Future()


class SharesItsScratchBetweenThreads(Correct):
    class Model(Correct.Model):
        def infer(self, batch):
            self.scratch = batch
            time.sleep(0.001)  # as long as a device takes to copy it
            return super().infer(self.scratch)

"""A client of the stub that asks again and again over one connection: `python -m tests.e2e.deploy.client HOST:PORT [COUNT]`.

Without COUNT it asks until its standard input ends. It prints, as JSON, how many calls there were, which failed, and the
versions that answered, in order.
"""

import json
import sys
import threading
import time

import grpc

from clients.serving import calls, messages


def main(address, count=None):
    ended = threading.Event()
    if count is None:
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        print("asking", flush=True)
    request = messages.PredictRequest()
    request.model_spec.name = "model"
    made, failed, versions = 0, [], []
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        predict = calls.predict(channel)
        while not ended.is_set() and (count is None or made < count):
            made += 1
            try:
                version = predict(request, timeout=10).model_spec.version.value
                versions += [version] if versions[-1:] != [version] else []
            except grpc.RpcError as error:
                failed.append(f"{error.code().name}: {error.details()}")
            time.sleep(0.005)
    print(json.dumps({"calls": made, "failed": failed, "versions": versions}))
    return len(failed) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None))

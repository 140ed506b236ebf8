"""Keys that are made and ended at once, as two officers' commands do: none is lost, and none lives on."""

from concurrent.futures import ThreadPoolExecutor

from gateway.keys import api_keys


def test_a_key_that_is_ended_while_others_are_made_stays_ended(tmp_path):
    ended, made = [f"old-{number}" for number in range(20)], [f"new-{number}" for number in range(20)]
    for name in ended:
        api_keys.add_api_key(tmp_path, name, ["check"], publishable=False)
    with ThreadPoolExecutor(8) as pool:
        for one, other in zip(ended, made, strict=True):
            pool.submit(api_keys.revoke, tmp_path, one)
            pool.submit(api_keys.add_api_key, tmp_path, other, ["check"], publishable=False)
    kept = {key.name: key.revoked for key in api_keys.read_api_keys(tmp_path)}
    assert kept == dict.fromkeys(ended, True) | dict.fromkeys(made, False)

# fmt: off
"""verify_receipt.py RECEIPT VKEY [OPENING]: a stranger's check of a receipt, with Python's own library and openssl."""
import base64, hashlib, hmac, json, subprocess, sys, tempfile

receipt, vkey = open(sys.argv[1]).read(), sys.argv[2]
head, text, signatures = receipt.split("\n\n")
text += "\n"
name, key_id, key = vkey.split("+", 2)
kind_and_key = base64.b64decode(key)
assert hashlib.sha256(name.encode() + b"\n" + kind_and_key).digest()[:4].hex() == key_id, "not a verifier key"
lines = [base64.b64decode(line.split(" ")[2]) for line in signatures.splitlines() if line.startswith(f"— {name} ")]
[signature] = [line[4:] for line in lines if line[:4].hex() == key_id]
magic, extra, index, *hashes = head.split("\n")
origin, size, root = text.split("\n")[:3]
algorithm, message = "302a300506032b6570032100", text.encode()
if kind_and_key[0] == 6:  # ML-DSA-44, for which openssl must be 3.5 or newer
    algorithm, called = "30820532300b06096086480165030403110382052100", bytes([len(name.encode())]) + name.encode()
    message = b"subtree/v1\n\0" + called + signature[:8] + called + bytes(8) + int(size).to_bytes(8, "big") + base64.b64decode(root)
    signature = signature[8:]
with tempfile.TemporaryDirectory() as folder:
    for file, content in {"t": message, "s": signature, "k": bytes.fromhex(algorithm) + kind_and_key[1:]}.items():
        with open(f"{folder}/{file}", "wb") as out: out.write(content)
    command = "openssl pkeyutl -verify -pubin -keyform DER -inkey k -rawin -in t -sigfile s"
    subprocess.run(command.split(), cwd=folder, check=True, stdout=subprocess.DEVNULL)
entry = base64.b64decode(extra.removeprefix("extra "))
at, last = int(index.removeprefix("index ")), int(size) - 1
assert (magic, origin) == ("c2sp.org/tlog-proof@v1", name) and at <= last
found = hashlib.sha256(b"\x00" + entry).digest()
for hash_ in map(base64.b64decode, hashes):
    left = at & 1 or at == last
    found = hashlib.sha256(b"\x01" + (hash_ + found if left else found + hash_)).digest()
    while left and not at & 1 and at: at, last = at >> 1, last >> 1
    at, last = at >> 1, last >> 1
assert last == 0 and found == base64.b64decode(root), "the entry is not in the log"
print("in the log:", entry.decode())
if len(sys.argv) > 3:
    with open(sys.argv[3]) as file: opening = json.load(file)
    subject = hmac.digest(base64.urlsafe_b64decode(opening["rs"] + "=="), f"{opening['kind']}\0{opening['value']}".encode(), "sha256")
    assert base64.urlsafe_b64encode(subject).decode().rstrip("=") == json.loads(entry)["s"], "about somebody else"
    print("about", opening["kind"], opening["value"])

"""ssh, mail by SMTP, POP3 and IMAP, telnet and DNS over TCP work through tunnels, each way between Ramson and i2pd; mutt sends and reads, and fetchmail fetches."""

import hashlib
import os
import shutil
import subprocess

from ..applications import curl
from ..offices import Offices
from ..outcome import Failed, Skipped, eventually
from ..servers import DOMAIN, PASSWORD, USER, random_text
from ..terminal import Terminal

NEEDS_RAMSON = True
NETWORK = Offices
_PATIENCE = 180  # seconds for the first tunnels and LeaseSets
_SIZE = 2_000_000  # bytes through ssh


def run(net):
    if net.programs.missing:
        raise Skipped(f"not installed: apt-get install --no-install-recommends {' '.join(net.programs.missing)}")
    for way, router, _ in net.ways():
        for name, check in (("ssh", _ssh), ("mail", _mail), ("mutt", _mutt), ("telnet", _telnet), ("DNS by TCP", _dns)):
            problem = check(net, lambda port: net.place(router, port))
            if problem:
                raise Failed(f"{name} {way}: {problem}", router, net.subject, net.partner)
    return f"each way: {_SIZE // 1_000_000} MB to and fro by ssh, a letter by SMTP, POP3 and IMAP, with mutt and fetchmail, telnet, DNS by TCP"


def _ssh(net, at):
    data = os.urandom(_SIZE)
    first = eventually(_PATIENCE, lambda: net.programs.ssh.run(at(22), "echo here").strip() == b"here", 2)
    back = net.programs.ssh.run(at(22), "cat", data) if first else b"nobody answers"
    return None if hashlib.sha256(back).digest() == hashlib.sha256(data).digest() else f"{len(back)} bytes: {back[:200]}"


def _mail(net, at):
    word = random_text(40)
    smtp, pop, imap = ("{}:{}".format(*at(port)) for port in (25, 110, 143))
    letter = os.path.join(net.dir, "letter")
    with open(letter, "w") as f:
        f.write(f"Subject: {word}\r\n\r\n" + "".join(f"{random_text(70)}\r\n" for _ in range(3000)))
    who = ("--user", f"{USER}:{PASSWORD}")
    sent = curl(f"smtp://{smtp}", "--mail-from", f"me@{DOMAIN}", "--mail-rcpt", f"{USER}@{DOMAIN}", "--upload-file", letter)
    if sent[0]:
        return sent
    with open(letter) as f:
        text = f.read().replace("\r\n", "\n").strip()
    newest = len(curl(f"pop3://{pop}/", *who)[1].splitlines()) or 1
    for url in (f"pop3://{pop}/{newest}", f"imap://{imap}/INBOX;MAILINDEX={newest}"):
        read = lambda url=url: text in curl(url, *who)[1].decode().replace("\r\n", "\n")
        if not eventually(20, read, 1):
            return f"{url} does not give the letter"
    return None


def _mutt(net, at):
    """A letter that mutt sends is read by mutt over IMAP, and fetched by fetchmail over POP3."""
    if not shutil.which("mutt") or not shutil.which("fetchmail"):
        return "mutt or fetchmail is not installed: apt-get install --no-install-recommends mutt fetchmail"
    smtp, pop, imap = ("{}:{}".format(*at(port)) for port in (25, 110, 143))
    # What base 64 has beside letters and digits, terminals may break.
    subject, word = (random_text(40).translate({43: "x", 47: "y"})[:20] for _ in range(2))
    folder = os.path.join(net.dir, f"mutt-{smtp.split(':')[0]}")
    os.makedirs(folder, exist_ok=True)
    mailbox = f"imap://{USER}:{PASSWORD}@{imap}/INBOX"
    rc = f"""
set smtp_url = "smtp://{smtp}/"
set from = "me@{DOMAIN}"
set realname = "Lab"
set use_envelope_from = yes
set ssl_starttls = no
set ssl_force_tls = no
set copy = no
set header_cache = ""
set spoolfile = "{mailbox}"
set folder = "{folder}"
set mail_check = 5
set sort = reverse-date-received
unset mark_old
"""
    path = os.path.join(folder, "rc")
    with open(path, "w") as f:
        f.write(rc)
    environment = {"HOME": folder}
    send = ["mutt", "-n", "-F", path, "-s", subject, f"{USER}@{DOMAIN}"]
    done = subprocess.run(send, input=f"{word}\n".encode(), capture_output=True, timeout=120, check=False, env=os.environ | environment)
    if done.returncode:
        return f"it does not send: {done.stdout + done.stderr}"
    if not eventually(30, lambda: subject in curl(f"imap://{imap}/INBOX;MAILINDEX=*;SECTION=HEADER", "--user", f"{USER}:{PASSWORD}")[1].decode(), 1):
        return "no letter arrives"
    reader = Terminal(["mutt", "-n", "-F", path], environment | {"LINES": "40", "COLUMNS": "120"})
    try:
        reader.must_see(subject, 60)
        reader.type("\r")
        reader.must_see(word, 60)
    finally:
        reader.stop()
    return _fetch(folder, at(110), word)


def _fetch(folder, place, word):
    """All letters by fetchmail, which leaves them where they are."""
    ip, port = place
    path, fetched = os.path.join(folder, "fetchmailrc"), os.path.join(folder, "fetched")
    with open(path, "w") as f:
        f.write(f'poll {ip} protocol pop3 service {port} user "{USER}" password "{PASSWORD}" sslproto "" keep fetchall mda "cat >>{fetched}"\n')
    os.chmod(path, 0o600)
    environment = os.environ | {"HOME": folder, "FETCHMAILHOME": folder}
    done = subprocess.run(["fetchmail", "-f", path, "--nosyslog"], capture_output=True, timeout=180, check=False, env=environment)
    with open(fetched, errors="replace") as f:
        return None if word in f.read() else f"fetchmail brings no such letter: {done.stdout[-300:] + done.stderr}"


def _telnet(_, at):
    ip, port = at(23)
    with subprocess.Popen(["telnet", ip, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as one:
        heard = b""
        while b"lab\r\n" not in heard and (part := one.stdout.read1(4096)):
            heard += part
        one.stdin.write(b"a line\n")
        one.stdin.flush()
        # It ends when it has nothing more to read.
        while b"heard: a line" not in heard and (part := one.stdout.read1(4096)):
            heard += part
        one.kill()
    return None if b"heard: a line" in heard else heard


def _dns(net, at):
    ip, port = at(53)
    command = ["dig", "+short", "+tcp", "+time=10", f"@{ip}", "-p", str(port)]
    say = lambda *question: subprocess.run([*command, *question], capture_output=True, text=True, check=False).stdout
    answer, long = say(f"name.{DOMAIN}"), say(f"long.{DOMAIN}", "TXT")
    return None if answer.strip() == net.programs.dns.answer and len(long) > 800 else answer + long

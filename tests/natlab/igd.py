#!/usr/bin/env python3
"""A router's UPnP that is not as it should be, for tests/natlab/portmap: igd.py IP OUTSIDE MANNER

It answers searches (SSDP) and describes a gateway device at IP, port 5000. It prints a JSON line for
whatever it is asked for. MANNER is one of:

    plain       maps and unmaps as it should
    permanent   has no leases: error 725 unless the lease is 0; answers in chunks
    taken       port 4001 is somebody else's: error 718
    elsewhere   says that it is controlled at another address
    drip        describes itself a byte a second, without end
    flood       describes itself as fast as it can, without end
"""

import http.server
import json
import re
import socket
import struct
import sys
import threading

IP, OUTSIDE, MANNER = sys.argv[1:4]
PORT = 5000
SERVICE = "urn:schemas-upnp-org:service:WANIPConnection:1"
DEVICE = "urn:schemas-upnp-org:device:{}:1"


def say(event, **fields):
    print(json.dumps({"event": event, **fields}), flush=True)


def description():
    where = f"http://5.99.0.1:{PORT}/control" if MANNER == "elsewhere" else "/control"
    inner = "".join(f"<deviceList><device><deviceType>{DEVICE.format(kind)}</deviceType>"
                    for kind in ("WANDevice", "WANConnectionDevice"))
    return (f'<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><deviceType>'
            f'{DEVICE.format("InternetGatewayDevice")}</deviceType>{inner}<serviceList><service><serviceType>{SERVICE}'
            f'</serviceType><controlURL>{where}</controlURL><SCPDURL>/scpd</SCPDURL></service></serviceList>'
            f'{"</device></deviceList>" * 2}</device></root>')


class Device(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1" if MANNER == "permanent" else "HTTP/1.0"

    def log_message(self, *_):
        pass

    def do_GET(self):
        say("described")
        if MANNER in ("drip", "flood"):
            self.send_response(200)
            self.end_headers()
            sent = 0
            try:
                while MANNER == "flood" or not END.wait(1):
                    sent += self.wfile.write(b" " * (1 if MANNER == "drip" else 65536))
            except OSError:
                say("left", after=sent)
                return
        self.answer(200, description())

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        action = self.headers["SOAPAction"].strip('"').rpartition("#")[2]
        values = dict(re.findall(r"<New(\w+)>([^<]*)</New", body))
        error = self.act(action, values)
        say("soap", action=action, error=error, **values)
        if error:
            self.answer(500, self.envelope(
                "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError "
                f'xmlns="urn:schemas-upnp-org:control-1-0"><errorCode>{error}</errorCode></UPnPError></detail></s:Fault>'))
            return
        extra = f"<NewExternalIPAddress>{OUTSIDE}</NewExternalIPAddress>" if action == "GetExternalIPAddress" else ""
        self.answer(200, self.envelope(f'<u:{action}Response xmlns:u="{SERVICE}">{extra}</u:{action}Response>'))

    def act(self, action, values):
        if action != "AddPortMapping":
            return 0
        if MANNER == "permanent" and values["LeaseDuration"] != "0":
            return 725
        return 718 if MANNER == "taken" and values["ExternalPort"] == "4001" else 0

    def envelope(self, body):
        return ('<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
                f"{body}</s:Body></s:Envelope>")

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        if MANNER == "permanent":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for piece in (text[:100], text[100:], ""):
                self.wfile.write(f"{len(piece):x}\r\n{piece}\r\n".encode())
            return
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


END = threading.Event()
server = http.server.ThreadingHTTPServer((IP, PORT), Device)
threading.Thread(target=server.serve_forever, daemon=True).start()
search = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
search.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
search.bind(("", 1900))
search.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
                  struct.pack("4s4s", socket.inet_aton("239.255.255.250"), socket.inet_aton(IP)))
say("listening")
while True:
    asked, asker = search.recvfrom(2048)
    kind = re.search(rb"\r\nST: *(\S+)", asked, re.IGNORECASE)
    if asked.startswith(b"M-SEARCH") and kind and kind[1].decode() == DEVICE.format("InternetGatewayDevice"):
        search.sendto(f"HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: {kind[1].decode()}\r\nUSN: uuid:1::"
                      f"{kind[1].decode()}\r\nEXT:\r\nSERVER: test\r\nLOCATION: http://{IP}:{PORT}/root.xml\r\n\r\n"
                      .encode(), asker)
        say("found")

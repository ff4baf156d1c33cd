"""Forwarders of TCP and UDP that make a long road of loopback and count round trips by cause and effect.

Every chunk of bytes (a datagram, of UDP) arrives `delay` seconds after it was sent, each way. Counted are flights, not
seconds. With TCP, and its handshake as round trip 0 of the drawing:

    dialler                                listener
      | -- SYN, SYN+ACK -------------------- |     one round trip, on paper: see below
      | -- flight 1 (sent at once) --------> |
      | <------- flight 1's answer --------- |     1 round trip
      | -- flight 2 (after that answer) ---> |
      | <------- flight 2's answer --------- |     2 round trips

A chunk of the dialler belongs to the flight after the last answer delivered to it; a chunk of the
listener answers the last flight delivered to that. The delay is far longer than either needs to
react, so a chunk is never read after the delivery that it does not depend on. What a listener says
unasked answers the end of the handshake and so belongs to the first round trip.

The kernel finishes the dialler's handshake with the forwarder at once; a real one takes one round
trip more, which `round_trips` adds. The forwarder dials the listener one delay after it accepted,
as the dialler's ACK would arrive there. UDP has no handshake: the first datagram begins flight 1.
"""

import asyncio
import collections
import contextlib


class Flights:
    """What has been delivered, and how far each side has been answered."""

    def __init__(self):
        self.answered = 0  # round trips completed: the last answer delivered to the dialler
        self.asked = 0  # the last flight delivered to the listener
        self.chunks = []  # as delivered: (round trip, "->" or "<-", bytes)

    def of_dialler(self):
        """The flight to which what the dialler says now belongs."""
        return self.answered + 1

    def of_listener(self):
        """... and what the listener says."""
        return max(self.asked, 1)

    def delivered(self, flight, way, size):
        if way == "->":
            self.asked = max(self.asked, flight)
        else:
            self.answered = max(self.answered, flight)
        self.chunks.append((flight, way, size))


class Forwarder:
    """`async with Forwarder(port, delay) as f:` forwards f.port to the listener's TCP port."""

    def __init__(self, target_port, delay):
        self._target, self._delay = target_port, delay
        self.roads = []  # one per connection, in the order they were accepted

    async def __aenter__(self):
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Road(self, self._target, self._delay).near, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        for road in self.roads:
            road.abort()

    def round_trips(self):
        """Round trips, handshake included, until what has been delivered to the dialler so far."""
        return 1 + max((road.flights.answered for road in self.roads), default=0)

    def chunks(self):
        return [chunk for road in self.roads for chunk in road.flights.chunks]


class Road:
    """One forwarded connection: two ends."""

    def __init__(self, forwarder, target_port, delay):
        self._forwarder, self._target, self._delay = forwarder, target_port, delay
        self.flights = Flights()
        self.near = End(self._accepted, self._from_dialler)
        self.far = End(lambda: None, self._from_listener)

    def abort(self):
        self.near.abort()
        self.far.abort()

    def _accepted(self):
        self._forwarder.roads.append(self)
        loop = asyncio.get_running_loop()
        loop.call_later(self._delay, lambda: loop.create_task(self._dial()))

    async def _dial(self):
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.far, "127.0.0.1", self._target)
        except OSError:
            self.abort()

    def _from_dialler(self, data):
        self._carry(self.far, data, self.flights.of_dialler(), "->")

    def _from_listener(self, data):
        self._carry(self.near, data, self.flights.of_listener(), "<-")

    def _carry(self, end, data, flight, way):
        """Delivers data (None: the end) to that end one delay later, in order."""
        end.line.append((data, flight, way))
        asyncio.get_running_loop().call_later(self._delay, self._deliver, end)

    def _deliver(self, end):
        data, flight, way = end.line.popleft()
        if data is not None:
            self.flights.delivered(flight, way, len(data))
        end.deliver(data)


class DatagramForwarder:
    """The same for a UDP port. Every port that sends to f.port is a road of its own."""

    def __init__(self, target_port, delay):
        self._target, self._delay = target_port, delay
        self.roads = {}  # where a dialler is -> its DatagramRoad

    async def __aenter__(self):
        self._near, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Socket(self._from_dialler), local_addr=("127.0.0.1", 0))
        self.port = self._near.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_):
        self._near.close()
        for road in self.roads.values():
            road.abort()

    def round_trips(self):
        return max((road.flights.answered for road in self.roads.values()), default=0)

    def chunks(self):
        return [chunk for road in self.roads.values() for chunk in road.flights.chunks]

    def _from_dialler(self, data, whence):
        road = self.roads.get(whence)
        if road is None:
            road = self.roads[whence] = DatagramRoad(
                self._target, self._delay, lambda answer: self._near.sendto(answer, whence))
        road.from_dialler(data)


class DatagramRoad:
    """One dialler's datagrams, from a port of its own to the listener's and back."""

    def __init__(self, target_port, delay, answer):
        self._delay, self._answer = delay, answer
        self.flights = Flights()
        self._far = asyncio.get_running_loop().create_task(self._open(target_port))

    def abort(self):
        self._far.add_done_callback(lambda far: far.result().close())

    async def _open(self, port):
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Socket(self._from_listener), remote_addr=("127.0.0.1", port))
        return transport

    def from_dialler(self, data):
        self._carry(data, self.flights.of_dialler(), "->", lambda: self._far.result().sendto(data))

    def _from_listener(self, data, _):
        self._carry(data, self.flights.of_listener(), "<-", lambda: self._answer(data))

    def _carry(self, data, flight, way, deliver):
        def arrive():
            self.flights.delivered(flight, way, len(data))
            deliver()

        asyncio.get_running_loop().call_later(self._delay, arrive)


class Socket(asyncio.DatagramProtocol):
    def __init__(self, received):
        self._received = received

    def datagram_received(self, data, whence):
        self._received(data, whence)


class End(asyncio.Protocol):
    """One socket of a road. What is delivered before it is connected waits."""

    def __init__(self, connected, received):
        self._connected, self._received = connected, received
        self._transport, self._early = None, []
        self.line = collections.deque()  # chunks on their way to this socket

    def connection_made(self, transport):
        self._transport = transport
        self._connected()
        for data in self._early:
            self.deliver(data)

    def data_received(self, data):
        self._received(data)

    def eof_received(self):
        self._received(None)
        return True  # keep the other direction open

    def deliver(self, data):
        if self._transport is None:
            self._early.append(data)
        elif data is not None:
            self._transport.write(data)
        elif not self._transport.is_closing():
            with contextlib.suppress(OSError):  # that side is gone already
                self._transport.write_eof()

    def abort(self):
        if self._transport is not None:
            self._transport.abort()

# cython: language_level=3, boundscheck=False, wraparound=False
# cython: cdivision=True, initializedcheck=False
"""Number the messages of a split: lines with one queue id belong together until it is used anew.

Short queue ids are an inode and a microsecond, so they come again. Between two lines of one id,
in file order, a new generation begins where `begins_anew` says so; that depends on those two lines
alone, so that the same rule joins the fragments of neighbouring splits (`pipeline.stitch`).
"""

import cython

if cython.compiled:
    from cython.cimports.libc.string import memcpy
    from cython.cimports.pipeline.kernels.spans import same
else:
    from pipeline.kernels.spans import same

from pipeline.memory import zeros

COMPILED = cython.compiled

#: What a line does to its message: it opens it, names its message-id, belongs to its reception,
#: to its time in the queue, or ends it. 0: the line has no queue id.
PHASES = ("", "opening", "message-id", "reception", "queue", "removed")
OPENING = 1
MESSAGE_ID = 2
QUEUE = 4
REMOVED = 5
#: Silence after which an id is taken to be another message's: Postfix's maximal_queue_lifetime.
SILENCE_US = 5 * 86_400_000_000
#: The message-id follows the opening within this time, however slow the client is. Three times as
#: long after a host's first line in a split there is surely no opening in an earlier one, though
#: its clock fell back by an hour in between. Another host's clock may be in another zone.
RECEPTION_US = 3_600_000_000
#: In `Generations.number`: no line of this host was seen.
NEVER = (1 << 63) - 1

_OPENING = cython.declare(cython.int, 1)
_MESSAGE_ID = cython.declare(cython.int, 2)
_QUEUE = cython.declare(cython.int, 4)
_REMOVED = cython.declare(cython.int, 5)
_SILENCE_US = cython.declare(cython.longlong, 5 * 86_400_000_000)
_RECEPTION_US = cython.declare(cython.longlong, 3_600_000_000)
_NEVER = cython.declare(cython.longlong, (1 << 63) - 1)
_FNV_BASIS = cython.declare(cython.ulonglong, 14695981039346656037)  # FNV-1a, 64 bits
_FNV_PRIME = cython.declare(cython.ulonglong, 1099511628211)
_LOW_64 = cython.declare(cython.ulonglong, 0xFFFFFFFFFFFFFFFF)


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _begins_anew(
    last_phase: cython.int, last_time: cython.longlong, phase: cython.int, time: cython.longlong
) -> cython.bint:
    if last_phase == _REMOVED or phase == _OPENING or time - last_time > _SILENCE_US:
        return True
    return phase == _MESSAGE_ID and (last_phase == _QUEUE or time - last_time > _RECEPTION_US)


def begins_anew(last_phase, last_time, phase, time):
    """Tell whether a line begins a new message under the queue id of an earlier line.

    Parameters
    ----------
    last_phase, phase : int
        Positions in `PHASES` of the earlier and the later line.
    last_time, time : int
        Their times, µs since 1970 as written.
    """
    return bool(_begins_anew(last_phase, last_time, phase, time))


@cython.cclass
class Generations:
    """Gives the lines of each message a number, counted from 1.

    A hash table with open addressing over (place, queue id); a place is a host and an instance,
    told apart by a 64-bit mark that the caller gives them. What is removed is forgotten when the
    table is full; it can't come back.
    """

    n_given = cython.declare(cython.longlong, visibility="public")
    _first_time: cython.longlong
    _begins: cython.bint
    _n: cython.Py_ssize_t  # entries
    _n_bytes: cython.Py_ssize_t  # of the arena
    _mask: cython.Py_ssize_t
    _held: tuple
    _slots: cython.p_int  # entry + 1
    _hashes: cython.p_ulonglong
    _places: cython.p_ulonglong
    _numbers: cython.p_longlong
    _times: cython.p_longlong
    _starts: cython.p_longlong
    _sizes: cython.p_int
    _phases: cython.p_int
    _arena: cython.p_uchar
    _capacity: cython.Py_ssize_t
    _arena_bytes: cython.Py_ssize_t

    def __init__(self):
        self.reset()

    def reset(self, before: cython.longlong = 0):
        """Forget everything, for another split; numbers go on from ``before``."""
        self.n_given = before
        self._n = 0
        self._n_bytes = 0
        self._allocate(1 << 12, 1 << 16)

    def number(
        self,
        block: cython.uchar[::1],
        n_rows: cython.Py_ssize_t,
        ids: cython.int[::1],
        id_bytes: cython.uchar[::1],
        hosts: cython.int[::1],
        hosted: cython.uchar[::1],
        host_marks: cython.ulonglong[::1],
        host_firsts: cython.longlong[::1],
        processes: cython.int[::1],
        process_marks: cython.ulonglong[::1],
        events: cython.uchar[::1],
        phase_of: cython.uchar[::1],
        times: cython.longlong[::1],
        numbers: cython.longlong[::1],
        phases: cython.uchar[::1],
        begins: cython.uchar[::1],
    ):
        """Write the number of each row's message.

        Parameters
        ----------
        block : writable buffer of unsigned bytes
            The text.
        ids, id_bytes : buffer of int32, 4 a row; the same memory as uint8
            Arrow string views of the queue ids, whose data buffer is ``block``; empty where the
            row has none.
        hosts, processes : buffer of int32
            Codes; ``hosted`` has a bit for each row with a host.
        host_marks, process_marks : buffer of uint64
            By code: what tells hosts and instances apart.
        host_firsts : writable buffer of int64
            By code, and behind all of them for rows without a host: time of the first line in the
            split with a queue id, `NEVER` before.
        events, phase_of : buffer of uint8
            Code of the row's event; by that code, the position in `PHASES`.
        times : buffer of int64
            µs since 1970 as written.
        numbers : writable buffer of int64
            Takes the result: 0 where the row has no queue id.
        phases : writable buffer of uint8
            Takes the position in `PHASES`.
        begins : writable buffer of uint8
            Takes 1 for the first line of a message that surely has none in an earlier split.
        """
        k: cython.Py_ssize_t
        n_bytes: cython.Py_ssize_t = 0
        n_ids: cython.Py_ssize_t = 0
        n: cython.Py_ssize_t
        place: cython.ulonglong
        host: cython.Py_ssize_t
        hostless: cython.Py_ssize_t = len(host_firsts) - 1
        for k in range(n_rows):
            numbers[k] = 0
            phases[k] = 0
            begins[k] = 0
            n_bytes += ids[4 * k]
            n_ids += ids[4 * k] > 0
        self._make_room(n_ids, n_bytes)
        if n_ids == 0:
            return
        if cython.compiled:
            p: cython.p_uchar = cython.address(block[0])
            inline: cython.p_uchar = cython.address(id_bytes[0])
        else:
            p, inline = block, id_bytes
        with cython.nogil:
            for k in range(n_rows):
                n = ids[4 * k]
                if n == 0:
                    continue
                place = process_marks[processes[k]]
                host = hostless
                if hosted[k >> 3] >> (k & 7) & 1:
                    host = hosts[k]
                    place ^= host_marks[host]
                if host_firsts[host] == _NEVER:
                    host_firsts[host] = times[k]
                self._first_time = host_firsts[host]
                phases[k] = phase_of[events[k]]
                self._begins = False
                if n > 12:
                    numbers[k] = self._one(p, ids[4 * k + 3], n, place, phases[k], times[k])
                else:
                    numbers[k] = self._one(inline, 16 * k + 4, n, place, phases[k], times[k])
                begins[k] = self._begins

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(check=False)
    def _one(
        self,
        p: cython.p_uchar,
        i: cython.Py_ssize_t,
        n: cython.Py_ssize_t,
        place: cython.ulonglong,
        phase: cython.int,
        time: cython.longlong,
    ) -> cython.longlong:
        h: cython.ulonglong = _FNV_BASIS
        at: cython.Py_ssize_t
        k: cython.Py_ssize_t
        h = h ^ place
        for at in range(i, i + n):
            h = ((h ^ p[at]) * _FNV_PRIME) & _LOW_64
        slot: cython.Py_ssize_t = cython.cast(
            cython.Py_ssize_t, (h ^ (h >> 29)) & cython.cast(cython.ulonglong, self._mask)
        )
        while self._slots[slot]:
            k = self._slots[slot] - 1
            if (
                self._hashes[k] == h
                and self._places[k] == place
                and self._sizes[k] == n
                and same(p, i, self._arena, self._starts[k], n)
            ):
                if _begins_anew(self._phases[k], self._times[k], phase, time):
                    self.n_given += 1
                    self._numbers[k] = self.n_given
                    self._begins = True
                self._phases[k] = phase
                self._times[k] = time
                return self._numbers[k]
            slot = (slot + 1) & self._mask
        k = self._n
        self._n += 1
        self._slots[slot] = cython.cast(cython.int, k + 1)
        self._hashes[k] = h
        self._places[k] = place
        self._sizes[k] = cython.cast(cython.int, n)
        self._starts[k] = self._n_bytes
        if cython.compiled:
            memcpy(self._arena + self._n_bytes, p + i, n)
        else:
            self._arena[self._n_bytes : self._n_bytes + n] = p[i : i + n]
        self._n_bytes += n
        self.n_given += 1
        self._numbers[k] = self.n_given
        self._phases[k] = phase
        self._times[k] = time
        self._begins = phase == _OPENING or (
            phase == _MESSAGE_ID and time - self._first_time > 3 * _RECEPTION_US
        )
        return self.n_given

    @cython.cfunc
    def _make_room(self, n_ids: cython.Py_ssize_t, n_bytes: cython.Py_ssize_t):
        """See that so many new ids with so many bytes fit; forget the removed before growing."""
        if self._n + n_ids <= self._capacity and self._n_bytes + n_bytes <= self._arena_bytes:
            return
        capacity: cython.Py_ssize_t = self._capacity
        arena: cython.Py_ssize_t = self._arena_bytes
        n_live: cython.Py_ssize_t = 0
        n_live_bytes: cython.Py_ssize_t = 0
        k: cython.Py_ssize_t
        for k in range(self._n):
            if self._phases[k] != _REMOVED:
                n_live += 1
                n_live_bytes += self._sizes[k]
        # Twice what is needed, so that the next call needn't make room again.
        while capacity < 2 * (n_live + n_ids):
            capacity *= 2
        while arena < 2 * (n_live_bytes + n_bytes):
            arena *= 2
        self._move(capacity, arena)

    @cython.cfunc
    def _move(self, capacity: cython.Py_ssize_t, arena: cython.Py_ssize_t):
        """Copy all ids that were not removed into new tables."""
        kept = self._held  # holds the old memory until the copy is done
        n: cython.Py_ssize_t = self._n
        hashes: cython.p_ulonglong = self._hashes
        places: cython.p_ulonglong = self._places
        numbers: cython.p_longlong = self._numbers
        times: cython.p_longlong = self._times
        starts: cython.p_longlong = self._starts
        sizes: cython.p_int = self._sizes
        phases: cython.p_int = self._phases
        old: cython.p_uchar = self._arena
        k: cython.Py_ssize_t
        j: cython.Py_ssize_t
        slot: cython.Py_ssize_t
        self._allocate(capacity, arena)
        self._n = 0
        self._n_bytes = 0
        for k in range(n):
            if phases[k] == _REMOVED:
                continue
            j = self._n
            self._n += 1
            self._hashes[j] = hashes[k]
            self._places[j] = places[k]
            self._numbers[j] = numbers[k]
            self._times[j] = times[k]
            self._sizes[j] = sizes[k]
            self._phases[j] = phases[k]
            self._starts[j] = self._n_bytes
            if cython.compiled:
                memcpy(self._arena + self._n_bytes, old + starts[k], sizes[k])
            else:
                self._arena[self._n_bytes : self._n_bytes + sizes[k]] = old[
                    starts[k] : starts[k] + sizes[k]
                ]
            self._n_bytes += sizes[k]
            slot = cython.cast(
                cython.Py_ssize_t,
                (hashes[k] ^ (hashes[k] >> 29)) & cython.cast(cython.ulonglong, self._mask),
            )
            while self._slots[slot]:
                slot = (slot + 1) & self._mask
            self._slots[slot] = cython.cast(cython.int, j + 1)
        del kept

    @cython.cfunc
    def _allocate(self, capacity: cython.Py_ssize_t, arena: cython.Py_ssize_t):
        self._capacity = capacity
        self._arena_bytes = arena
        self._mask = 2 * capacity - 1
        held_slots = memoryview(zeros(8 * capacity)).cast("i")
        held_hashes = memoryview(zeros(8 * capacity)).cast("Q")
        held_places = memoryview(zeros(8 * capacity)).cast("Q")
        held_numbers = memoryview(zeros(8 * capacity)).cast("q")
        held_times = memoryview(zeros(8 * capacity)).cast("q")
        held_starts = memoryview(zeros(8 * capacity)).cast("q")
        held_sizes = memoryview(zeros(4 * capacity)).cast("i")
        held_phases = memoryview(zeros(4 * capacity)).cast("i")
        held_arena = memoryview(zeros(arena))
        self._held = (
            held_slots,
            held_hashes,
            held_places,
            held_numbers,
            held_times,
            held_starts,
            held_sizes,
            held_phases,
            held_arena,
        )
        if cython.compiled:
            slots: cython.int[::1] = held_slots
            hashes: cython.ulonglong[::1] = held_hashes
            places: cython.ulonglong[::1] = held_places
            numbers: cython.longlong[::1] = held_numbers
            times: cython.longlong[::1] = held_times
            starts: cython.longlong[::1] = held_starts
            sizes: cython.int[::1] = held_sizes
            phases: cython.int[::1] = held_phases
            bytes_: cython.uchar[::1] = held_arena
            self._slots = cython.address(slots[0])
            self._hashes = cython.address(hashes[0])
            self._places = cython.address(places[0])
            self._numbers = cython.address(numbers[0])
            self._times = cython.address(times[0])
            self._starts = cython.address(starts[0])
            self._sizes = cython.address(sizes[0])
            self._phases = cython.address(phases[0])
            self._arena = cython.address(bytes_[0])
        else:
            self._slots, self._hashes, self._places = held_slots, held_hashes, held_places
            self._numbers, self._times, self._starts = held_numbers, held_times, held_starts
            self._sizes, self._phases, self._arena = held_sizes, held_phases, held_arena

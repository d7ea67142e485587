# Small windows of channels that lie side by side: a block of channels takes tap after tap.


cdef bint of_channels(const Job* job, Scratch* s, const Tile* t, Block64* tag, const Folding* r) noexcept nogil:
    """Blocks of channels: tap after tap, two blocks side by side where there are two."""
    cdef Py_ssize_t width = lanes_of(tag), size = stored_size(tag), i, c, j, d, h, n, m
    cdef Py_ssize_t step = job.axis[2].dilation * job.inner * size
    cdef const char* base
    cdef const char* at
    cdef char* out
    cdef WindowRows rows
    cdef Strip p = strip_of(job)
    cdef Window depth, along
    cdef Block64 x, y, z, first, second
    cdef Block64 k[KEPT]
    cdef Block64 nans
    set_constants(job, k, r)
    nans = k[NANS]
    p.plain = not p.streamed
    for d in range(t.d0, t.d1):
        depth = window(&job.axis[0], d)
        for h in range(t.h0, t.h1):
            rows = clipped_rows(job, &p, t, 0, &depth, h)
            out = output_of(job, t, d, t.w0 * job.inner, size) + (h - t.h0) * job.y.h
            for i in range(t.w0, t.w1):
                along = window(&job.axis[2], i)
                base = rows.first + along.first * job.inner * size
                c = 0
                while c < job.inner:
                    if c + 2 * width > job.inner:
                        c = job.inner - 2 * width   # blocks that overlap those before
                    at = base + c * size
                    v_load(&y, at)
                    turn_block(&y, k, r)
                    v_load(&z, at + size * width)
                    turn_block(&z, k, r)
                    first, second = y, z
                    for m in range(rows.planes):
                        for n in range(rows.rows):
                            at = base + c * size + m * rows.plane + n * rows.row
                            for j in range(along.count):
                                if m + n + j > 0:
                                    v_load(&x, at)
                                    turn_block(&x, k, r)
                                    note_nan(&first, &x, r)
                                    absorb(&y, &x, r)
                                    v_load(&x, at + size * width)
                                    turn_block(&x, k, r)
                                    note_nan(&second, &x, r)
                                    absorb(&z, &x, r)
                                at += step
                    note_nan(&first, &second, r)
                    note_nan(&nans, &first, r)
                    put_block(&p, out + c * size, &y, width, k, r)
                    put_block(&p, out + (c + width) * size, &z, width, k, r)
                    c += 2 * width
                out += job.inner * size
    k[NANS] = nans
    return blameless(k, r)

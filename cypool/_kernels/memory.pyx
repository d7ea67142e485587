# cython: language_level=3
"""What was said before: real programs make the same call again and again."""

cimport cython
cimport numpy as cnp

cnp.import_array()

cdef object YES = object()
cdef object NO = object()
cdef Py_ssize_t MOST = 4096                         # entries; then all are forgotten


cdef bint exact(object value) noexcept:
    """Whether values equal to this one are the same argument: 2, 2.0 and True are equal, and are not."""
    cdef object kind = type(value)
    if kind is int or kind is str or value is None or kind is type:
        return True
    if kind is not tuple:
        return False
    for item in <tuple> value:
        if not exact(item):
            return False
    return True


cdef bint note(list key, object value) noexcept:
    """Add an argument to a key; false if it cannot be one."""
    if type(value) is bool:
        value = YES if value else NO
    elif not exact(value):
        return False
    key.append(value)
    return True


cdef long epoch = 0                                 # of the plans: another build needs others


def outdate_plans():
    """From now on another build runs: calls must look for their plans again."""
    global epoch
    epoch += 1


cdef class Ready:
    """A call that may take the short way: if it needs nothing but a new array, and a plan to fill it.

    Subclasses say in ``__call__(x, out, num_threads)`` what the long way is.
    """

    cdef object plan
    cdef cnp.npy_intp shape[32]
    cdef int ndim, kind
    cdef long made

    def shorten(self, plan, tuple shape, dtype):
        """Take the short way from now on, on one thread."""
        cdef int i
        self.ndim = len(shape)
        for i in range(self.ndim):
            self.shape[i] = shape[i]
        self.kind, self.made, self.plan = dtype.num, epoch, plan


@cython.final
cdef class Memory:
    """What a function says of an array's shape and dtype and of further arguments, remembered.

    Parameters
    ----------
    function : callable ``(x, *args, **kwargs)``
        Gives back a `Ready`. Looks at x's shape and dtype alone. What it raises is not remembered.
    """

    cdef object function
    cdef dict known

    def __init__(self, function):
        self.function = function
        self.known = {}

    def find(self, cnp.ndarray x, tuple args, dict kwargs):
        """The call made ready."""
        cdef list key = [cnp.PyArray_TYPE(x), cnp.PyArray_ISBYTESWAPPED(x), len(args)]
        cdef object found
        cdef tuple remembered
        cdef int i
        for value in args:
            if not note(key, value):
                return self.function(x, *args, **kwargs)
        for name, value in kwargs.items():
            key.append(name)
            if not note(key, value):
                return self.function(x, *args, **kwargs)
        for i in range(cnp.PyArray_NDIM(x)):
            key.append(cnp.PyArray_DIM(x, i))
        remembered = tuple(key)
        found = self.known.get(remembered)
        if found is None:
            found = self.function(x, *args, **kwargs)
            if len(self.known) >= MOST:
                self.known.clear()
            self.known[remembered] = found
        return found

    def run(self, cnp.ndarray x, tuple args, dict kwargs, out, num_threads):
        """Make the call."""
        cdef Ready ready = self.find(x, args, kwargs)
        if ready.made != epoch or ready.plan is None or out is not None or num_threads is not None:
            return ready(x, out, num_threads)
        y = cnp.PyArray_EMPTY(ready.ndim, ready.shape, ready.kind, 0)
        ready.plan.run(x, y, None, False, 1)
        return y

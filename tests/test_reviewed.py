"""What a review found wrong once: each stays right."""

import warnings

import numpy as np
import pytest
from cases import refused, same_bits

import cypool


def test_one_channel_of_logits_gets_the_sum_over_channels(monkeypatch):
    rng = np.random.default_rng(0)
    x, z, g = rng.normal(size=(1, 3, 20, 21)), rng.normal(size=(1, 1, 20, 21)), rng.normal(size=(1, 3, 10, 10))
    each = cypool.attention_pool2d_backward(g, x, np.broadcast_to(z, x.shape), 2)[1].sum(1, keepdims=True)
    monkeypatch.setattr("cypool.dispatch.SMALL", 1)
    first = None
    for piece in (1 << 18, 300, 8):                             # channels apart, and in parts
        monkeypatch.setattr("cypool.pieces.PIECE", piece)
        for threads in (1, 2, 7):
            back = cypool.attention_pool2d_backward(g, x, z, 2, num_threads=threads)[1]
            np.testing.assert_allclose(back, each, atol=1e-12)
            if threads > 1:
                assert same_bits(back, first)
            first = back


def test_elements_in_no_window_have_no_gradient():
    for last in (800.0, 1e20, np.nan, np.inf):
        x = np.array([[0.0, 1, 2, 3, last]], np.float32)
        grad = np.ones((1, 2), np.float32)
        for back in (cypool.soft_pool1d_backward(grad, x, 2), cypool.lp_pool1d_backward(grad, x, 3, 2),
                     cypool.lse_pool1d_backward(grad, x, 1.0, 2)[0], cypool.gem_pool1d_backward(grad, x, 3, 2)[0],
                     *cypool.attention_pool1d_backward(grad, x, x, 2),
                     cypool.stochastic_pool1d_inference_backward(grad, x, 2)):
            assert back[0, 4] == 0 and np.isfinite(back).all()
    back = cypool.lp_pool1d_backward(np.ones((1, 1, 1)), np.array([[[np.nan, np.nan, 1.0]]]), np.inf, 3)
    assert back[0, 0, 0] == 0 and back[0, 0, 2] == 0


def test_large_numbers_and_large_powers():
    np.testing.assert_allclose(cypool.lp_pool1d(np.array([[1e308, 1e307]]), 2, 2), [[1e308 * np.sqrt(1.01)]])
    np.testing.assert_allclose(cypool.gem_pool1d(np.array([[1e308, 1e308]]), 2, 2), [[1e308]])
    x = np.array([[0.6, 0.6, 0.51, 0.51]])
    for p in (600, 1100, 2000):
        np.testing.assert_allclose(cypool.lp_pool1d(x, p, 2), [[0.6 * 2 ** (1 / p), 0.51 * 2 ** (1 / p)]])
        back = cypool.lp_pool1d_backward(np.ones((1, 2)), x, p, 2)
        np.testing.assert_allclose(back, 2 ** (1 / p - 1) * np.ones((1, 4)), rtol=1e-9)


def test_small_numbers_with_small_weights():
    x = np.array([[1e-30, 2e-30]], np.float32)
    for shift in (-40, -30, 30):
        np.testing.assert_allclose(cypool.attention_pool1d(x, np.full_like(x, shift), 2), [[1.5e-30]], rtol=1e-6)
    x = np.full((1, 64, 64), 1.5 * 2.0**-60 / 4096, np.float32)
    np.testing.assert_allclose(cypool.stochastic_pool2d(x, 64, training=False), x[:, :1, :1], rtol=1e-6)
    zero = np.zeros((1, 1, 8), np.float32)
    assert (cypool.soft_pool1d(zero, 2) == 0).all()
    y = cypool.attention_pool1d(np.array([[1, 2]], np.float32), np.array([[1e300, 0]]), 2)
    assert y.dtype == np.float32 and y[0, 0] == 1


def test_what_has_no_part_in_a_mixture_may_be_infinite():
    assert cypool.mixed_pool1d(np.array([[3e38, 3e38]], np.float32), 1.0, 2)[0, 0] == np.float32(3e38)
    x = np.array([[-np.inf, 5.0]])
    assert cypool.mixed_pool1d(x, 1, 2)[0, 0] == 5 and cypool.mixed_pool1d(-x, 0, 2)[0, 0] == np.inf


@pytest.mark.parametrize("threads", [1, 2])
def test_no_warnings(threads, monkeypatch):
    monkeypatch.setattr("cypool.pieces.PIECE", 1 << 10)
    monkeypatch.setattr("cypool.dispatch.SMALL", 1)
    x = np.full((2, 2, 60, 60), 1e30, np.float32)
    w = np.full((2, 2), 1e30, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y = cypool.weighted_pool2d(x, w, num_threads=threads)
        cypool.weighted_pool2d_backward(y, x, w, num_threads=threads)
        cypool.gated_pool2d_backward(y, x, w, 2, num_threads=threads)
        cypool.tree_pool2d_backward(y, x, np.stack([w, w]), w[None], 2, num_threads=threads)
        cypool.blur_pool2d(x * 1e8, num_threads=threads)
        cypool.stochastic_pool2d(x * 1e8, 2, rng=0, num_threads=threads)
        cypool.gem_pool2d_backward(np.full_like(y, 1e30), x, np.array(3, np.float16), 2, num_threads=threads)
        cypool.mixed_pool2d(x, 1e300, 2, num_threads=threads)
        cypool.mixed_pool2d_backward(y, x, np.array(0.5, np.float16), 2, num_threads=threads)
        half = np.full((1, 2 * 21), 6e4, np.float16)
        cypool.spatial_pyramid_pool_backward(half, np.ones((1, 2, 4, 4), np.float16), num_threads=threads)
        cypool.sppf_backward(np.full((1, 8, 4, 4), 6e4, np.float16), np.ones((1, 2, 4, 4), np.float16))


def test_receptive_fields_of_every_layer_with_windows():
    found = cypool.receptive_field([cypool.Sppf()], 20)[0]
    assert (found.size, found.jump, found.start, found.output) == (13, 1, -6, 20)
    blur = cypool.receptive_field([cypool.BlurPool1d(4, 2)], [9])[0]
    assert (blur.size, blur.jump, blur.start, blur.output) == ((4,), (2,), (-1,), (5,))
    weighted = cypool.receptive_field(cypool.Sequential(cypool.Sequential(cypool.WeightedPool2d(np.ones((3, 2))))))[0]
    assert (weighted.size, weighted.jump) == ((3, 2), (3, 2))
    for layer in (cypool.FractionalMaxPool2d(2, 5), cypool.AdaptiveMaxPool2d(3)):
        with refused(ValueError, "layers"):
            cypool.receptive_field([layer], 20)


@pytest.mark.parametrize("call", [
    lambda: cypool.stochastic_pool1d(np.array([[0.5, 1.0]]), 10**6, ceil_mode=True),
    lambda: cypool.stochastic_pool2d(np.ones((1, 4, 4)), 10**5, ceil_mode=True),
    lambda: cypool.sppf(np.ones((1, 0, 4, 4)), 3, 10**8),
    lambda: cypool.sppf(np.ones((0, 1, 4, 4)), 3, 10**7),
    lambda: cypool.fractional_max_pool2d(np.ones((1, 600, 600)), 600, 1),
    lambda: cypool.spatial_pyramid_pool(np.ones((1, 0, 5, 5)), (2**26,)),
    lambda: cypool.soft_pool2d(np.stack([np.zeros((4, 4)), np.full((4, 4), 2000.0)])[None], 10**4, ceil_mode=True),
    lambda: cypool.soft_pool2d(np.repeat([[0.0], [1000.0]], 128 * 128, 1).reshape(1, 1, 256, 128), 31, 1),
], ids=range(8))
def test_small_calls_end_soon(call):
    import time

    began = time.perf_counter()
    call()
    assert time.perf_counter() - began < 5


def test_parameter_gradients_have_the_parameters_type():
    x = np.random.default_rng(0).random((2, 3, 8))
    y = cypool.avg_pool1d(x, 2)
    for dtype in ("float16", "float32", ">f8", "int64"):
        p = np.array([1, 2, 3]).astype(dtype)
        wanted = np.dtype(np.float64) if dtype in (">f8", "int64") else np.dtype(dtype)
        made = cypool.gem_pool1d_backward(y, x, p, 2)[1]
        assert made.dtype == wanted and made.dtype.isnative
        alpha = p if dtype == "int64" else (p / 4).astype(dtype)
        assert cypool.mixed_pool1d_backward(y, x, alpha, 2)[1].dtype == wanted


def test_results_do_not_depend_on_the_rest_of_the_batch():
    a = np.random.default_rng(0).normal(size=(1, 2, 64)).astype(np.float32)
    b = a.copy()
    b[0, 1] = 1000 * np.arange(64)
    assert same_bits(cypool.soft_pool1d(a, 5)[0, 0], cypool.soft_pool1d(b, 5)[0, 0])


def test_messages():
    x = np.ones((1, 2, 4, 4))
    with refused(ValueError, "levels"):
        cypool.spatial_pyramid_pool(x, (1, (2, 3, 4)))
    with refused(ValueError, "levels"):
        cypool.spatial_pyramid_pool(x, (2**31 - 1,))
    with refused(ValueError, "norm_type"):
        cypool.lp_pool2d(x, 10**400, 2)
    with refused(ValueError, "grad_output"):
        cypool.soft_pool2d_backward(np.ones((1, 2)), x, 4)
    assert cypool.fractional_max_pool2d(x, 2, output_ratio=np.array(0.5)).shape == (1, 2, 2, 2)


# ---------------------------------------------------------------------------- windows that are data

def test_one_bad_id_before_a_share(monkeypatch):
    monkeypatch.setattr("cypool.dispatch.SMALL", 1)
    n = 1 << 17
    for wrong, dtype in ((-(10**7), np.int64), (2**63 + 5, np.uint64), (10**7, np.int64)):
        ids = np.zeros(n, dtype)
        ids[n // 2 - 1] = wrong
        with refused(ValueError, "segment_ids", wrong):
            cypool.segment_sum(np.ones((n, 2), np.float32), ids, 5, num_threads=2)


def test_reversed_boxes_of_many_samples(isa):
    x = np.zeros((1, 1, 1, 7000), np.float32)
    for boxes in ([[0, 7000, 0, 0, 1.0]], [[0, 7000, 0, 0, 1.0]] * 40, [[0, -1.4437194e7, 0, 6388600, 1]]):
        boxes = np.array(boxes, np.float32)
        for ratio in (1024, -1, 100):
            for mode in ("avg", "max", "onnx_max"):
                y = cypool.roi_align(x, boxes, 1, sampling_ratio=ratio, aligned=True, mode=mode)
                assert not y.any()
                cypool.roi_align_backward(y, x, boxes, 1, sampling_ratio=ratio, aligned=True, mode=mode)
    with refused(ValueError, "sampling_ratio", "output_size", 1024):
        cypool.roi_align(x, boxes, (1, 65536), sampling_ratio=1024)


def test_edges_get_numbers_that_hold_them():
    edges = cypool.topk_pool(np.ones(300), np.arange(300.0), 1.0, edges=np.array([[0], [1]], np.uint8))[2]
    assert edges.tolist() == [[299], [298]]


def test_graphs_far_apart():
    assert cypool.topk_pool(np.ones((3, 2)), np.zeros(3), 0.5, [0, 2**31 - 3, 5])[1].tolist() == [0, 2, 1]


def test_products_of_short_floats():
    back = cypool.topk_pool_backward(np.full((1, 3), 300, "f2"), np.full((2, 3), 300, "f2"), np.zeros(2, "f4"), [1])
    assert back[1].tolist() == [0, 270_000]


def test_zero_times_infinity_is_nan_in_corners(isa):
    x = np.array([[[[1, 1, 1], [1, 1, -np.inf], [1, 1, 1]]]], np.float32)
    for data in (x, np.repeat(x, 3, 1)):
        for data_format in ("channels_first", "channels_last"):
            given = np.moveaxis(data, 1, -1) if data_format == "channels_last" else data
            y = cypool.roi_align(given, [[0, 0, 0, 2, 1]], 1, sampling_ratio=1, mode="onnx_max",
                                 data_format=data_format)
            assert np.isnan(y).all()


def test_out_overlaps_no_array():
    buf = np.zeros(5)
    box = buf.reshape(1, 5)
    box[:] = [0, 0, 0, 2, 2]
    x = np.ones((1, 1, 3, 3))
    for f in (cypool.roi_align, cypool.roi_pool, cypool.ps_roi_align):
        with refused(ValueError, "out", "overlap"):
            f(x, box, 1, out=buf[:1].reshape(1, 1, 1, 1))
    lengths = np.ones(2, np.int64)
    with refused(ValueError, "out", "overlap"):
        cypool.masked_max_pool(np.ones((2, 3, 1), np.int64), lengths, out=lengths[:, None])
    with refused(ValueError, "out", "overlap"):
        cypool.topk_pool(np.ones(4), np.ones(4), 0.5, segment_ids=lengths.view(np.int32), out=lengths.view(float))


def test_half_sums_are_rounded_once(isa):
    x = np.array([2048, 1, 2.0**-14], np.float16)
    assert cypool.segment_sum(x, [0, 0, 0]).tolist() == [2050]
    assert cypool.masked_avg_pool(x[None] * 1, [3])[0] == np.float16((2049 + 2.0**-14) / 3)


def test_many_images_of_which_few_are_named():
    x = np.broadcast_to(np.arange(16.0, dtype=np.float32).reshape(4, 4), (10**7, 2, 4, 4))
    boxes = [[5, 0, 0, 2, 2], [9_999_999, 0, 0, 3, 3]]
    assert cypool.roi_pool(x, boxes, 1).ravel().tolist() == [10, 10, 15, 15]
    assert np.allclose(cypool.roi_align(x, boxes, 1, sampling_ratio=1).ravel(), [5, 5, 7.5, 7.5])


def test_the_largest_unsigned_index_is_no_minus_one():
    index = np.array([2**64 - 1, 0], np.uint64)
    with refused(ValueError, "indices", 2**64 - 1):
        cypool.segment_max_backward(np.ones(2), index, (3,))


def test_ordinals_of_padding(isa):
    x = np.array([[[5.0, 5], [7.0, 7]]])
    for wrong in (3, 6):
        with refused(ValueError, "indices", "padding"):
            cypool.max_unpool2d(x, np.array([[[4, 4], [wrong, 4]]], np.uint8), 3, 2, 1)
    y = cypool.max_unpool2d(x, np.array([[[4, 3], [1, 4]]], np.uint8), 3, 2, 1)
    assert y.shape == (1, 3, 3)
    index = np.array([[[4, 3], [1, 4]]], np.uint8).transpose(1, 2, 0)
    last = cypool.max_unpool2d(np.moveaxis(x, 0, -1), index, 3, 2, 1, data_format="channels_last")
    assert np.array_equal(np.moveaxis(last, -1, 0), y)


def test_messages_name_the_argument():
    for f, beside in ((cypool.masked_avg_pool_backward, None), (cypool.masked_max_pool_backward, np.zeros(1, int))):
        with pytest.raises(ValueError, match="input_shape"):
            f(np.zeros(1), beside, (), offsets=[0, 0])
    with refused(TypeError, "empty"):
        cypool.masked_max_pool(np.ones((1, 2), bool), [1], empty=np.zeros(2))
    with pytest.raises((TypeError, ValueError), match="boxes"):
        cypool.roi_pool(np.ones((2, 1, 3, 3)), [[[1], [2, 3]], []], 2)
    with refused(ValueError, "spatial_scale"):
        cypool.roi_align(np.ones((1, 1, 3, 3)), np.zeros((1, 5), np.float32), 2, 1e40)
    with refused(ValueError, "return_indices"):
        cypool.DynamicPool2d(2, True, op="avg")(np.ones((1, 4, 4)))

    class Half:
        def __float__(self):
            return 0.5

    assert len(cypool.topk_pool(np.ones(4), np.arange(4.0), Half())[1]) == 2


def test_one_nan_and_one_zero_in_both_layouts():
    x = np.array([[[[0.0, -0.0], [np.nan, -np.nan]]]], np.float32)
    for mode in ("avg", "max", "onnx_max"):
        for box in ([0, 0, 0, 2, 1], [0, 0, 1, 2, 2]):
            seen = set()
            for name in cypool.dispatch.available():
                before = cypool.dispatch.in_use()
                cypool.dispatch.use(name)
                try:
                    for c in (1, 3):
                        wide = np.repeat(x, c, 1)
                        seen.add(cypool.roi_align(wide, [box], 1, sampling_ratio=2, mode=mode)[0, 0].tobytes())
                        seen.add(cypool.roi_align(np.moveaxis(wide, 1, -1), [box], 1, sampling_ratio=2, mode=mode,
                                                  data_format="channels_last")[0, ..., 0].tobytes())
                finally:
                    cypool.dispatch.use(before)
            assert len(seen) == 1, (mode, box)


def test_long_axes_apart_take_few_calls():
    x = np.asfortranarray(np.random.default_rng(0).normal(size=(4, 3000, 2)))
    parts = list(cypool.irregular.flattened(x[None], 2, 4))
    assert len(parts) == 2
    assert np.allclose(cypool.segment_sum(x, [0, 1, 0, 1]), [x[::2].sum(0), x[1::2].sum(0)])

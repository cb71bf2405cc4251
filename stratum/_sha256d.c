/* Double SHA-256 and merkle roots as one call each: what hashing costs a share in Python is calls, not hashing.
 *
 * FIPS 180-4, with x86's SHA instructions where the processor has them.  stratum/hashing.py does the same in
 * Python wherever this could not be compiled; both pass the same tests.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static const uint32_t START[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

typedef void (*compress_t)(uint32_t state[8], const uint8_t *block, size_t blocks);

static uint32_t from_big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void to_big_endian(uint8_t *p, uint32_t v)
{
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

#define ROTATED(x, n) ((x) >> (n) | (x) << (32 - (n)))

static void compress_portable(uint32_t state[8], const uint8_t *block, size_t blocks)
{
    uint32_t w[64];
    for (; blocks; blocks--, block += 64) {
        for (int t = 0; t < 16; t++)
            w[t] = from_big_endian(block + 4 * t);
        for (int t = 16; t < 64; t++) {
            uint32_t s0 = ROTATED(w[t - 15], 7) ^ ROTATED(w[t - 15], 18) ^ w[t - 15] >> 3;
            uint32_t s1 = ROTATED(w[t - 2], 17) ^ ROTATED(w[t - 2], 19) ^ w[t - 2] >> 10;
            w[t] = w[t - 16] + s0 + w[t - 7] + s1;
        }
        uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
        uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
        for (int t = 0; t < 64; t++) {
            uint32_t s1 = ROTATED(e, 6) ^ ROTATED(e, 11) ^ ROTATED(e, 25);
            uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + K[t] + w[t];
            uint32_t s0 = ROTATED(a, 2) ^ ROTATED(a, 13) ^ ROTATED(a, 22);
            uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
            h = g, g = f, f = e, e = d + t1;
            d = c, c = b, b = a, a = t1 + t2;
        }
        state[0] += a, state[1] += b, state[2] += c, state[3] += d;
        state[4] += e, state[5] += f, state[6] += g, state[7] += h;
    }
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

/* The instructions want the state as ABEF and CDGH, and do four rounds at a time. */
__attribute__((target("sha,sse4.1,ssse3"))) static void compress_x86(uint32_t state[8], const uint8_t *block,
                                                                     size_t blocks)
{
    const __m128i bytes_swapped = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xB1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8);
    __m128i cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (; blocks; blocks--, block += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(block + 16 * i)), bytes_swapped);
#pragma GCC unroll 16
        for (int i = 0; i < 16; i++) {
            __m128i wk = _mm_add_epi32(w[i & 3], _mm_loadu_si128((const __m128i *)(K + 4 * i)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, wk);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(wk, 0x0E));
            if (i < 12) {
                __m128i next = _mm_sha256msg1_epu32(w[i & 3], w[(i + 1) & 3]);
                next = _mm_add_epi32(next, _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
                w[i & 3] = _mm_sha256msg2_epu32(next, w[(i + 3) & 3]);
            }
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B);
    __m128i dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}

static int has_x86_sha(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
        return 0;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & 1u << 29);
}
#else
#define compress_x86 compress_portable
static int has_x86_sha(void)
{
    return 0;
}
#endif

static compress_t compress = compress_portable;

/* The hash of a message; digest and message may be the same memory. */
static void sha256(uint8_t digest[32], const uint8_t *message, size_t length)
{
    uint32_t state[8];
    uint8_t last[128] = {0};
    const size_t whole = length / 64, rest = length % 64, tail = rest < 56 ? 1 : 2;
    memcpy(state, START, sizeof state);
    compress(state, message, whole);
    if (rest)
        memcpy(last, message + 64 * whole, rest);
    last[rest] = 0x80;
    to_big_endian(last + 64 * tail - 8, (uint32_t)((uint64_t)length >> 29));
    to_big_endian(last + 64 * tail - 4, (uint32_t)((uint64_t)length << 3));
    compress(state, last, tail);
    for (int i = 0; i < 8; i++)
        to_big_endian(digest + 4 * i, state[i]);
}

static void twice(uint8_t digest[32], const uint8_t *message, size_t length)
{
    sha256(digest, message, length);
    sha256(digest, digest, 32);
}

static PyObject *py_sha256d(PyObject *self, PyObject *message)
{
    (void)self;
    uint8_t digest[32];
    if (!PyBytes_Check(message)) {
        PyErr_SetString(PyExc_TypeError, "a message is bytes");
        return NULL;
    }
    twice(digest, (const uint8_t *)PyBytes_AS_STRING(message), (size_t)PyBytes_GET_SIZE(message));
    return PyBytes_FromStringAndSize((const char *)digest, 32);
}

static PyObject *py_merkle_root(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    (void)self;
    uint8_t pair[64];
    if (given != 2 || !PyBytes_Check(args[0]) || !PyTuple_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "a root is of a coinbase (bytes) and branches (a tuple of bytes)");
        return NULL;
    }
    twice(pair, (const uint8_t *)PyBytes_AS_STRING(args[0]), (size_t)PyBytes_GET_SIZE(args[0]));
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); i++) {
        PyObject *branch = PyTuple_GET_ITEM(args[1], i);
        if (!PyBytes_Check(branch) || PyBytes_GET_SIZE(branch) != 32) {
            PyErr_SetString(PyExc_TypeError, "a branch is 32 bytes");
            return NULL;
        }
        memcpy(pair + 32, PyBytes_AS_STRING(branch), 32);
        twice(pair, pair, 64);
    }
    return PyBytes_FromStringAndSize((const char *)pair, 32);
}

static PyObject *py_use(PyObject *self, PyObject *name)
{
    (void)self;
    if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "portable") == 0)
        compress = compress_portable;
    else if (PyUnicode_Check(name) && PyUnicode_CompareWithASCIIString(name, "x86") == 0 && has_x86_sha())
        compress = compress_x86;
    else
        Py_RETURN_FALSE;
    Py_RETURN_TRUE;
}

static PyMethodDef METHODS[] = {
    {"sha256d", py_sha256d, METH_O, "The double hash of a message: 32 bytes, internal order."},
    {"merkle_root", (PyCFunction)(void (*)(void))py_merkle_root, METH_FASTCALL,
     "The root of a block with this coinbase and these branches, from the leaf up."},
    {"use", py_use, METH_O, "Hash by 'x86' (its SHA instructions) or 'portable'; False where there is no such way."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef MODULE = {.m_base = PyModuleDef_HEAD_INIT,
                                    .m_name = "_sha256d",
                                    .m_doc = "Double SHA-256 in C.",
                                    .m_size = -1,
                                    .m_methods = METHODS};

PyMODINIT_FUNC PyInit__sha256d(void)
{
    if (has_x86_sha())
        compress = compress_x86;
    return PyModule_Create(&MODULE);
}

/* What is done for every record, on columns: decode JSON, hash ids, look them up, add exactly.
 *
 * Rules of this file:
 *
 * - It takes only what is plain, and then gives exactly what `streams.decoding` gives without it.
 *   Whatever else there is (escapes, numbers of many digits, fields twice, wrong types, broken
 *   JSON) is `ODD`: then Python looks at the whole batch, and says what is wrong.
 * - It reads nothing but the texts that it is given, and writes nothing but the columns.
 * - No Python, no Kafka, no state between calls, no clock, no locale.
 *
 * Called through ctypes by `streams.native`, which lays the columns out.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "xxh3.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__ || !defined(__SIZEOF_INT128__) || FLT_EVAL_METHOD
#error "written for 64-bit little-endian machines with IEEE arithmetic"
#endif

typedef const uint8_t *cursor;

enum { FINE = 0, ODD = -1, NO_MEMORY = -2 };
enum { MAX_FEATURES = 1000, MAX_LAYOUTS = 64, MAX_DEPTH = 32 };

static const double LARGEST_NUMBER = 1e150, EXACT = 9007199254740992.0, TWO_63 = 9223372036854775808.0;

typedef struct {
    int64_t at, size;
} span;

/* --- numbers */

enum { LARGEST_POWER = 64 };

/* 128 bits of 5 to the power of -64 … 64, see `set_powers`. */
static uint64_t POWERS[2 * LARGEST_POWER + 1][2];

static const double TENS[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                              1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* Take the powers of five: high and low half of each, as in Lemire (2021), section 5. */
void driftline_set_powers(const uint64_t *powers) { memcpy(POWERS, powers, sizeof POWERS); }

/* Return the float nearest to w * 10**q, after Lemire, "Number parsing at a gigabyte per second"
 * (2021); false where that is not certain, or it is no normal number. */
static int nearest(uint64_t w, int q, double *found) {
    if (q < -LARGEST_POWER || q > LARGEST_POWER)
        return 0;
    int zeros = __builtin_clzll(w);
    w <<= zeros;
    const uint64_t *power = POWERS[q + LARGEST_POWER];
    hash128 product = multiply(w, power[0]);
    if ((product.high & 0x1FF) == 0x1FF) {
        uint64_t more = multiply(w, power[1]).high;
        product.low += more;
        product.high += product.low < more;
    }
    if (product.low == UINT64_MAX && (q < -27 || q > 55))
        return 0;
    int upper = (int)(product.high >> 63);
    uint64_t mantissa = product.high >> (upper + 9);
    int exponent = ((217706 * q) >> 16) + 63 + upper - zeros + 1023;
    if (exponent <= 0 || exponent >= 2046)
        return 0;
    if (product.low <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1
        && mantissa << (upper + 9) == product.high)
        mantissa &= ~1ULL;
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >> 53) {
        mantissa = 1ULL << 52;
        exponent++;
    }
    uint64_t bits = (mantissa & ~(1ULL << 52)) | ((uint64_t)exponent << 52);
    memcpy(found, &bits, sizeof bits);
    return 1;
}

static inline int is_digit(uint8_t c) { return (uint8_t)(c - '0') < 10; }

/* Return with how many digits eight characters begin. */
static inline int digits_in(uint64_t word) {
    word ^= 0x3030303030303030ULL;
    uint64_t other = ((word + 0x7676767676767676ULL) | word) & 0x8080808080808080ULL;
    return other ? __builtin_ctzll(other) >> 3 : 8; /* only the lowest flag is certain */
}

/* Return the number that the first `size` of eight characters are, 1 to 8 of them. */
static inline uint64_t number_in(uint64_t word, int size) {
    word = (word << (64 - 8 * size)) & 0x0F0F0F0F0F0F0F0FULL;
    word = (word * 2561 >> 8) & 0x00FF00FF00FF00FFULL;
    word = (word * 6553601 >> 16) & 0x0000FFFF0000FFFFULL;
    return word * 42949672960001ULL >> 32;
}

/* Read a number of few digits, as most are, without a loop; NULL if it may be another. */
static inline cursor read_short(cursor at, cursor end, double *found, int *whole) {
    int negative = at < end && *at == '-';
    at += negative;
    if (end - at < 8)
        return NULL;
    uint64_t word = read64(at);
    int size = digits_in(word), more = 0;
    if (!size || (*at == '0' && size > 1))
        return NULL;
    int zero = *at == '0' && at[1] != '.';
    if (size == 8) {
        if (end - at < 16 || (more = digits_in(read64(at + 8))) == 8)
            return NULL;
        uint64_t w = number_in(word, 8);
        if (more)
            w = w * (uint64_t)TENS[more] + number_in(read64(at + 8), more);
        at += 8 + more;
        *found = (double)(int64_t)w;
        *whole = 1;
    } else if (at[size] == '.') {
        uint64_t before = (1ULL << 8 * size) - 1;
        word = (word & before) | (word >> 8 & ~before);
        more = digits_in(word) - size;
        if (!more || size + more > 6) /* what follows must be in the word, too */
            return NULL;
        *found = (double)(int64_t)number_in(word, size + more) / TENS[more];
        *whole = 0;
        at += size + 1 + more;
    } else {
        *found = (double)(int64_t)number_in(word, size);
        *whole = 1;
        at += size;
    }
    if ((*at | 32) == 'e' || *at == '.' || (negative && zero)) /* -0 is a float or whole */
        return NULL;
    if (negative)
        *found = -*found;
    return at;
}

/* Read any number, digit by digit. */
static cursor read_long(cursor at, cursor end, double *found, int *whole) {
    int negative = at < end && *at == '-';
    at += negative;
    if (at == end || !is_digit(*at))
        return NULL;
    if (*at == '0' && at + 1 < end && is_digit(at[1]))
        return NULL;
    uint64_t w = 0;
    int digits = 0, power = 0;
    for (; at < end && is_digit(*at); at++) {
        w = 10 * w + (*at - '0');
        digits += digits || w; /* not `w` alone: it may wrap around to 0 */
    }
    *whole = 1;
    if (at < end && *at == '.') {
        *whole = 0;
        cursor point = ++at;
        for (; at < end && is_digit(*at); at++) {
            w = 10 * w + (*at - '0');
            digits += digits || w;
        }
        if (at == point || at - point > 1000)
            return NULL;
        power = -(int)(at - point);
    }
    if (at < end && (*at | 32) == 'e') {
        *whole = 0;
        at++;
        int minus = at < end && *at == '-', size = 0, given = 0;
        at += at < end && (*at == '-' || *at == '+');
        for (; at < end && is_digit(*at); at++, size++)
            given = size < 4 ? 10 * given + (*at - '0') : 10000;
        if (!size)
            return NULL;
        power += minus ? -given : given;
    }
    /* More digits would not fit in `w`; of whole numbers Python knows all digits, a float does not;
     * -0 is a float or a whole number, depending on who asks. */
    if (digits > (*whole ? 15 : 19) || (negative && *whole && !w))
        return NULL;
    if (!w)
        *found = 0.0;
    else if (w <= 1ULL << 53 && power >= -22 && power <= 22)
        *found = power < 0 ? (double)w / TENS[-power] : (double)w * TENS[power];
    else if (!nearest(w, power, found))
        return NULL;
    if (negative)
        *found = -*found;
    return at;
}

/* Read a number; `whole` tells whether it has neither fraction nor exponent. */
static inline cursor read_number(cursor at, cursor end, double *found, int *whole) {
    cursor after = read_short(at, end, found, whole);
    return after ? after : read_long(at, end, found, whole);
}

/* --- JSON; every function returns where it came to, NULL if that is odd */

static inline cursor skip_spaces(cursor at, cursor end) {
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\t' || *at == '\r'))
        at++;
    return at;
}

static inline uint64_t has_byte(uint64_t word, uint8_t byte) {
    word ^= 0x0101010101010101ULL * byte;
    return (word - 0x0101010101010101ULL) & ~word & 0x8080808080808080ULL;
}

/* Read a string without escapes, of which `at` is the opening quote. */
static inline cursor read_text(cursor at, cursor end, cursor *text, size_t *size) {
    if (at >= end || *at != '"')
        return NULL;
    cursor start = ++at;
    while (end - at >= 8) {
        uint64_t word = read64(at);
        uint64_t control = (word - 0x2020202020202020ULL) & ~word & 0x8080808080808080ULL;
        uint64_t stop = has_byte(word, '"') | has_byte(word, '\\') | control;
        if (stop) {
            at += __builtin_ctzll(stop) >> 3; /* only the lowest flag is certain, and it is enough */
            break;
        }
        at += 8;
    }
    while (at < end && *at != '"' && *at != '\\' && *at >= 0x20)
        at++;
    if (at == end || *at != '"')
        return NULL;
    *text = start;
    *size = (size_t)(at - start);
    return at + 1;
}

/* Read the name of a member and the colon after it; what follows is its value. */
static inline cursor read_name(cursor at, cursor end, cursor *name, size_t *size) {
    if (!(at = read_text(at, end, name, size)))
        return NULL;
    at = skip_spaces(at, end);
    return at < end && *at == ':' ? skip_spaces(at + 1, end) : NULL;
}

static inline cursor read_word(cursor at, cursor end, const char *word, size_t size) {
    return (size_t)(end - at) >= size && !memcmp(at, word, size) ? at + size : NULL;
}

static cursor skip_value(cursor at, cursor end, int depth) {
    cursor text;
    size_t size;
    double number;
    int whole;
    if (at == end || depth > MAX_DEPTH)
        return NULL;
    switch (*at) {
    case '"':
        return read_text(at, end, &text, &size);
    case 't':
        return read_word(at, end, "true", 4);
    case 'f':
        return read_word(at, end, "false", 5);
    case 'n':
        return read_word(at, end, "null", 4);
    case '{':
    case '[':
        break;
    default:
        return read_number(at, end, &number, &whole);
    }
    int object = *at == '{';
    uint8_t closing = object ? '}' : ']';
    at = skip_spaces(at + 1, end);
    if (at < end && *at == closing)
        return at + 1;
    for (;;) {
        if (object && !(at = read_name(at, end, &text, &size)))
            return NULL;
        if (!(at = skip_value(at, end, depth + 1)))
            return NULL;
        at = skip_spaces(at, end);
        if (at == end)
            return NULL;
        if (*at == closing)
            return at + 1;
        if (*at++ != ',')
            return NULL;
        at = skip_spaces(at, end);
    }
}

/* Records behind each other: record i is from ends[i] to ends[i + 1]. */
typedef struct {
    cursor values;
    const int64_t *value_ends;
    cursor keys;
    const int64_t *key_ends;
    int64_t count;
    int64_t earliest_ms, latest_ms; /* a time outside is odd */
    int64_t name_bytes, features;   /* a longer name is odd, and more features */
    uint64_t factor;                /* see `interned` */
} batch;

/* --- numbers for texts that many records share */

typedef struct {
    int32_t *cells;
    uint64_t *hashes;
    span *spans; /* `width` of them for each text */
    int64_t size, mask;
    uint64_t factor; /* odd, and a secret: texts whose hashes share bits can be made */
    int shift, width;
} interned;

static int open_interned(interned *names, span *spans, int width, const batch *in) {
    int64_t cells = 16;
    int shift = 60;
    for (; cells < 2 * in->count; shift--)
        cells *= 2;
    *names = (interned){calloc(cells, sizeof(int32_t)), malloc(cells * sizeof(uint64_t)), spans, 0,
                        cells - 1, in->factor, shift, width};
    return names->cells && names->hashes;
}

static void close_interned(interned *names) {
    free(names->cells);
    free(names->hashes);
}

/* Return the number of a text, or of a pair of texts; -1 if another has its hash: by chance that
 * never happens, but whoever wants to can make as many such texts as he likes. */
static int32_t number_of(interned *names, cursor base, const span *texts) {
    uint64_t hash = xxh3_64(base + texts[0].at, texts[0].size);
    if (names->width == 2)
        hash = rotated(hash, 23) * P64_1 + xxh3_64(base + texts[1].at, texts[1].size);
    for (int64_t cell = hash * names->factor >> names->shift;; cell = (cell + 1) & names->mask) {
        int32_t number = names->cells[cell] - 1;
        if (number < 0) {
            names->cells[cell] = (int32_t)names->size + 1;
            names->hashes[cell] = hash;
            memcpy(names->spans + names->size * names->width, texts, names->width * sizeof(span));
            return (int32_t)names->size++;
        }
        if (names->hashes[cell] != hash)
            continue;
        const span *known = names->spans + (int64_t)number * names->width;
        int same = 1;
        for (int i = 0; i < names->width; i++)
            same &= known[i].size == texts[i].size
                    && !memcmp(base + known[i].at, base + texts[i].at, (size_t)texts[i].size);
        return same ? number : -1;
    }
}

/* --- records */

/* A prediction or a label: a number, or the number of a text. */
typedef struct {
    double *number;
    int32_t *code;
    span *texts;
    int64_t text_count;
} scalars;

typedef struct {
    int64_t *time_ms;
    uint64_t *high, *low;
    uint32_t *checksum;
    double *score, *latency_ms;
    scalars value;
    int32_t *name;   /* of model and version */
    span *names;     /* model and version of each */
    span *segments;  /* where their JSON is */
    span *scores;
    int32_t *layout; /* of the features, -1 where there are none */
    double *features;
    span *feature_names;
    int64_t *widths; /* of each layout */
    int64_t name_count, layout_count, feature_count, feature_name_count, given, ascii;
} predictions;

typedef struct {
    int64_t *time_ms;
    uint64_t *high, *low;
    scalars value; /* without a label: NaN, and no text */
    uint8_t *retract;
    int64_t ascii;
} labels;

enum { HAS_SEGMENTS = 1, HAS_SCORES = 2, LACKS_TIME = 4 };

static int key_is_id(const batch *in, int64_t i, cursor id, size_t size, uint64_t *high,
                     uint64_t *low) {
    cursor key = in->keys + in->key_ends[i];
    if (!size || size > XXH3_LONGEST_128 || (int64_t)size > in->name_bytes
        || (size_t)(in->key_ends[i + 1] - in->key_ends[i]) != size || memcmp(key, id, size))
        return 0;
    hash128 hash = xxh3_128(id, size);
    *high = hash.high;
    *low = hash.low;
    return 1;
}

static cursor read_time(cursor at, cursor end, const batch *in, int64_t *time_ms) {
    double number;
    int whole;
    if (!(at = read_number(at, end, &number, &whole)) || !whole || number < in->earliest_ms
        || number > in->latest_ms)
        return NULL;
    *time_ms = (int64_t)number;
    return at;
}

static cursor read_float(cursor at, cursor end, double smallest, double *found) {
    int whole;
    if (at < end && *at == 'n')
        return read_word(at, end, "null", 4);
    at = read_number(at, end, found, &whole);
    return at && *found >= smallest && *found <= LARGEST_NUMBER ? at : NULL;
}

static cursor read_scalar(cursor at, cursor end, cursor base, scalars *out, interned *texts,
                          int64_t i) {
    cursor text;
    size_t size;
    int whole;
    if (at == end)
        return NULL;
    if (*at == '"') {
        if (!(at = read_text(at, end, &text, &size)))
            return NULL;
        out->code[i] = number_of(texts, base, &(span){text - base, (int64_t)size});
        return out->code[i] < 0 ? NULL : at;
    }
    if (*at == 't' || *at == 'f') {
        out->number[i] = *at == 't';
        return *at == 't' ? read_word(at, end, "true", 4) : read_word(at, end, "false", 5);
    }
    at = read_number(at, end, out->number + i, &whole);
    return at && fabs(out->number[i]) < EXACT ? at : NULL;
}

static cursor read_bool(cursor at, cursor end, uint8_t *found) {
    if (at == end)
        return NULL;
    *found = *at == 't';
    return *found ? read_word(at, end, "true", 4) : read_word(at, end, "false", 5);
}

/* The names that follow each other in the features of some prediction. */
typedef struct {
    int64_t first[MAX_LAYOUTS];
    uint64_t hashes[MAX_LAYOUTS];
    int32_t last; /* that of the record before */
} layouts;

static int same_name(cursor base, span known, cursor text, size_t size) {
    return (size_t)known.size == size && !memcmp(base + known.at, text, size);
}

/* Return the number of the layout that `found` names give, -1 if it is one too many, or odd. */
static int32_t layout_of(predictions *out, layouts *known, cursor base, const span *found,
                         int64_t width) {
    enum { CELLS = 2048 };
    uint64_t hashes[MAX_FEATURES], cells[CELLS], hash = (uint64_t)width;
    for (int64_t i = 0; i < width; i++) {
        hashes[i] = xxh3_64(base + found[i].at, (size_t)found[i].size);
        hash = (rotated(hash, 23) ^ hashes[i]) * P64_1;
    }
    for (int32_t n = 0; n < out->layout_count; n++) {
        const span *names = out->feature_names + known->first[n];
        if (known->hashes[n] != hash)
            continue;
        int same = out->widths[n] == width;
        for (int64_t i = 0; same && i < width; i++)
            same = same_name(base, names[i], base + found[i].at, (size_t)found[i].size);
        return same ? n : -1; /* see `number_of` */
    }
    if (out->layout_count == MAX_LAYOUTS)
        return -1;
    memset(cells, 0, sizeof cells);
    for (int64_t i = 0; i < width; i++) {
        uint64_t cell = hashes[i] % CELLS;
        while (cells[cell] && cells[cell] != hashes[i])
            cell = (cell + 1) % CELLS;
        if (cells[cell] || !hashes[i]) /* a name twice, or as good as that */
            return -1;
        cells[cell] = hashes[i];
    }
    known->hashes[out->layout_count] = hash;
    known->first[out->layout_count] = out->feature_name_count;
    out->widths[out->layout_count] = width;
    memcpy(out->feature_names + out->feature_name_count, found, (size_t)width * sizeof(span));
    out->feature_name_count += width;
    return (int32_t)out->layout_count++;
}

static cursor read_feature(cursor at, cursor end, double *found) {
    cursor text;
    size_t size;
    uint64_t bits;
    int whole;
    if (at == end)
        return NULL;
    switch (*at) {
    case '"': /* see `streams.categories` */
        if (!(at = read_text(at, end, &text, &size)))
            return NULL;
        bits = 0x7FF8000100000000ULL | (xxh3_64(text, size) & 0xFFF);
        memcpy(found, &bits, sizeof bits);
        return at;
    case 't':
        *found = 1.0;
        return read_word(at, end, "true", 4);
    case 'f':
        *found = 0.0;
        return read_word(at, end, "false", 5);
    case 'n':
        *found = NAN;
        return read_word(at, end, "null", 4);
    default:
        at = read_number(at, end, found, &whole);
        return at && fabs(*found) < TWO_63 ? at : NULL;
    }
}

static cursor read_features(cursor at, cursor end, const batch *in, predictions *out,
                            layouts *known, int64_t i) {
    if (at < end && *at == 'n')
        return read_word(at, end, "null", 4);
    if (at == end || *at++ != '{')
        return NULL;
    at = skip_spaces(at, end);
    if (at < end && *at == '}')
        return at + 1;
    cursor base = in->values;
    span found[MAX_FEATURES];
    double *values = out->features + out->feature_count;
    int32_t guess = known->last;
    const span *names = guess < 0 ? NULL : out->feature_names + known->first[guess];
    int64_t width = 0, usual = guess < 0 ? 0 : out->widths[guess];
    int as_usual = 1;
    for (;;) {
        cursor text;
        size_t size;
        if (width == MAX_FEATURES || width == in->features
            || !(at = read_name(at, end, &text, &size)) || (int64_t)size > in->name_bytes)
            return NULL;
        found[width] = (span){text - base, (int64_t)size};
        as_usual = as_usual && width < usual && same_name(base, names[width], text, size);
        if (!(at = read_feature(at, end, values + width)))
            return NULL;
        width++;
        at = skip_spaces(at, end);
        if (at == end)
            return NULL;
        if (*at == '}')
            break;
        if (*at++ != ',')
            return NULL;
        at = skip_spaces(at, end);
    }
    if (!as_usual || width != usual)
        known->last = layout_of(out, known, base, found, width);
    if (known->last < 0)
        return NULL;
    out->layout[i] = known->last;
    out->feature_count += width;
    return at + 1;
}

#define IS(name, word) (name##_size == sizeof(word) - 1 && !memcmp(name, word, sizeof(word) - 1))

enum { ID = 1, MODEL = 2, VERSION = 4, TIME = 8, VALUE = 16, SCORE = 32, SCORES = 64,
       SEGMENTS = 128, LATENCY = 256, FEATURES = 512, RETRACT = 1024, PREDICTION = 2048,
       ERROR = 4096 };

static int prediction_field(cursor field, size_t field_size) {
    switch (field_size) {
    case 5:
        return IS(field, "model") ? MODEL
               : IS(field, "score") ? SCORE
               : IS(field, "error") ? ERROR
                                    : 0;
    case 6:
        return IS(field, "scores") ? SCORES : 0;
    case 7:
        return IS(field, "version") ? VERSION : 0;
    case 8:
        return IS(field, "features") ? FEATURES : IS(field, "segments") ? SEGMENTS : 0;
    case 10:
        return IS(field, "prediction") ? VALUE : IS(field, "latency_ms") ? LATENCY : 0;
    case 12:
        return IS(field, "timestamp_ms") ? TIME : 0;
    case 13:
        return IS(field, "prediction_id") ? ID : 0;
    default:
        return 0;
    }
}

static int label_field(cursor field, size_t field_size) {
    switch (field_size) {
    case 5:
        return IS(field, "label") ? VALUE : IS(field, "model") ? MODEL : 0;
    case 7:
        return IS(field, "retract") ? RETRACT : 0;
    case 10:
        return IS(field, "prediction") ? PREDICTION : 0;
    case 12:
        return IS(field, "timestamp_ms") ? TIME : 0;
    case 13:
        return IS(field, "prediction_id") ? ID : 0;
    default:
        return 0;
    }
}

/* Read the opening of an object or what is between two of its members, and the name of the next.
 * `*field` is 0 at the end of the object, which must be the end of the text. */
static cursor next_member(cursor at, cursor end, int first, cursor *field, size_t *size) {
    at = skip_spaces(at, end);
    if (at == end)
        return NULL;
    if (first ? *at != '{' : (*at != ',' && *at != '}'))
        return NULL;
    uint8_t opening = *at++;
    if (opening != '}') {
        at = skip_spaces(at, end);
        if (first && at < end && *at == '}') {
            at++;
            opening = '}';
        }
    }
    if (opening == '}') {
        *field = NULL;
        return skip_spaces(at, end) == end ? end : NULL;
    }
    return read_name(at, end, field, size);
}

/* Of a request that failed, the prediction is this NaN; see streams/failures.py. */
#define FAILED (0x7FF80002ULL << 32)

static int says_error(cursor text, size_t text_size) {
    return !IS(text, "null") && !IS(text, "false") && !IS(text, "\"\"") && !IS(text, "0")
           && !IS(text, "{}") && !IS(text, "[]");
}

static int read_prediction(const batch *in, int64_t i, predictions *out, interned *names,
                           interned *texts, layouts *known, int with_features) {
    cursor base = in->values, start = base + in->value_ends[i], end = base + in->value_ends[i + 1];
    cursor at = start, field = NULL, id = NULL, text, before;
    size_t field_size = 0, id_size = 0, size;
    span who[2] = {{0, 0}, {0, 0}};
    int seen = 0, answered = 0, failed = 0;
    out->value.code[i] = out->layout[i] = -1;
    out->value.number[i] = out->score[i] = out->latency_ms[i] = NAN;
    out->time_ms[i] = -1;
    out->segments[i] = out->scores[i] = (span){0, 0};
    for (int first = 1;; first = 0) {
        if (!(at = next_member(at, end, first, &field, &field_size)))
            return 0;
        if (!field)
            break;
        int which = prediction_field(field, field_size);
        if (seen & which)
            return 0;
        seen |= which;
        before = at;
        switch (which) {
        case ID:
            at = read_text(at, end, &id, &id_size);
            break;
        case MODEL:
        case VERSION:
            if ((at = read_text(at, end, &text, &size))) {
                if ((int64_t)size > in->name_bytes || (which == MODEL && !size))
                    return 0;
                who[which == VERSION] = (span){text - base, (int64_t)size};
            }
            break;
        case TIME:
            if (at < end && *at == 'n')
                at = read_word(at, end, "null", 4);
            else
                at = read_time(at, end, in, out->time_ms + i);
            break;
        case VALUE:
            if (at < end && *at == 'n') { /* of a request that failed */
                at = read_word(at, end, "null", 4);
            } else {
                at = read_scalar(at, end, base, &out->value, texts, i);
                answered = 1;
            }
            break;
        case ERROR:
            if ((at = skip_value(at, end, 0)))
                failed = says_error(before, (size_t)(at - before));
            break;
        case SCORE:
            at = read_float(at, end, -LARGEST_NUMBER, out->score + i);
            break;
        case LATENCY:
            at = read_float(at, end, 0.0, out->latency_ms + i);
            break;
        case SEGMENTS:
        case SCORES:
            if ((at = skip_value(at, end, 0)) && *before != 'n') {
                out->given |= which == SCORES ? HAS_SCORES : HAS_SEGMENTS;
                (which == SCORES ? out->scores : out->segments)[i] =
                    (span){before - base, at - before};
            }
            break;
        case FEATURES:
            if (with_features) {
                at = read_features(at, end, in, out, known, i);
                break;
            } /* fall through */
        default:
            at = skip_value(at, end, 0);
        }
        if (!at)
            return 0;
    }
    if (out->time_ms[i] < 0)
        out->given |= LACKS_TIME;
    if (failed) {
        if (out->value.code[i] >= 0) /* a text beside an error is not plain */
            return 0;
        const uint64_t none = FAILED;
        memcpy(out->value.number + i, &none, sizeof none);
    }
    if ((seen & (ID | MODEL)) != (ID | MODEL) || !(answered || failed)
        || !key_is_id(in, i, id, id_size, out->high + i, out->low + i))
        return 0;
    if ((out->name[i] = number_of(names, base, who)) < 0)
        return 0;
    out->checksum[i] = (uint32_t)xxh3_64(start, (size_t)(end - start));
    return 1;
}

static int read_label(const batch *in, int64_t i, labels *out, interned *texts) {
    cursor base = in->values, at = base + in->value_ends[i], end = base + in->value_ends[i + 1];
    cursor field = NULL, id = NULL, text;
    size_t field_size = 0, id_size = 0, size;
    int seen = 0, labelled = 0;
    out->value.code[i] = -1;
    out->value.number[i] = NAN;
    out->retract[i] = 0;
    for (int first = 1;; first = 0) {
        if (!(at = next_member(at, end, first, &field, &field_size)))
            return 0;
        if (!field)
            break;
        int which = label_field(field, field_size);
        if (seen & which)
            return 0;
        seen |= which;
        switch (which) {
        case ID:
            at = read_text(at, end, &id, &id_size);
            break;
        case MODEL:
            if ((at = read_text(at, end, &text, &size)) && (int64_t)size > in->name_bytes)
                return 0;
            break;
        case TIME:
            at = read_time(at, end, in, out->time_ms + i);
            break;
        case VALUE:
            if (at < end && *at == 'n') {
                at = read_word(at, end, "null", 4);
            } else {
                at = read_scalar(at, end, base, &out->value, texts, i);
                labelled = 1;
            }
            break;
        case RETRACT:
            at = read_bool(at, end, out->retract + i);
            break;
        case PREDICTION: /* one that is given is not plain */
            at = read_word(at, end, "null", 4);
            break;
        default:
            at = skip_value(at, end, 0);
        }
        if (!at)
            return 0;
    }
    return (seen & (ID | TIME)) == (ID | TIME) && (labelled || out->retract[i])
           && key_is_id(in, i, id, id_size, out->high + i, out->low + i);
}

static int64_t is_ascii(const batch *in) {
    cursor at = in->values + in->value_ends[0];
    uint64_t any = 0;
    int64_t i = 0, size = in->value_ends[in->count] - in->value_ends[0];
    for (; i + 8 <= size; i += 8)
        any |= read64(at + i);
    for (; i < size; i++)
        any |= (uint64_t)at[i] << 56;
    return !(any & 0x8080808080808080ULL);
}

int driftline_predictions(const batch *in, predictions *out, int with_features) {
    interned names = {0}, texts = {0};
    layouts known = {.last = -1};
    int fate = NO_MEMORY;
    if (open_interned(&names, out->names, 2, in)
        && open_interned(&texts, out->value.texts, 1, in)) {
        fate = FINE;
        for (int64_t i = 0; i < in->count && fate == FINE; i++)
            if (!read_prediction(in, i, out, &names, &texts, &known, with_features))
                fate = ODD;
    }
    out->name_count = names.size;
    out->value.text_count = texts.size;
    out->ascii = is_ascii(in);
    close_interned(&names);
    close_interned(&texts);
    return fate;
}

int driftline_labels(const batch *in, labels *out) {
    interned texts = {0};
    int fate = NO_MEMORY;
    if (open_interned(&texts, out->value.texts, 1, in)) {
        fate = FINE;
        for (int64_t i = 0; i < in->count && fate == FINE; i++)
            if (!read_label(in, i, out, &texts))
                fate = ODD;
    }
    out->value.text_count = texts.size;
    out->ascii = is_ascii(in);
    close_interned(&texts);
    return fate;
}

/* --- the index of `hash_index`: cells with the number of a row plus one, 0 empty, -1 deleted */

/* Where to look for a key, before the mask; see `hash_index.scattered`. */
static inline uint32_t first_cell(uint64_t high, uint64_t low, const uint64_t *seed) {
    uint64_t sum = seed[0] + seed[1] * (uint32_t)low + seed[2] * (low >> 32)
                   + seed[3] * (uint32_t)high + seed[4] * (high >> 32);
    uint32_t at = (uint32_t)(sum >> 32);
    at = (at ^ at >> 16) * 0x85EBCA6BU;
    return at ^ at >> 13;
}

void driftline_find_keys(const int32_t *cells, int64_t mask, const uint64_t *seed,
                         const uint64_t *row_high, const uint64_t *row_low, const uint64_t *high,
                         const uint64_t *low, int64_t count, int64_t *found) {
    enum { AHEAD = 8, RING = 2 * AHEAD };
    int64_t first[RING]; /* of the keys that come next */
    for (int64_t i = -RING; i < count; i++) {
        int64_t at = i < 0 ? 0 : first[i % RING];
        if (i + RING < count) {
            int64_t next = first_cell(high[i + RING], low[i + RING], seed) & mask;
            first[(i + RING) % RING] = next;
            __builtin_prefetch(cells + next);
        }
        if (i < 0)
            continue;
        if (i + AHEAD < count) {
            int32_t next = cells[first[(i + AHEAD) % RING]];
            if (next > 0)
                __builtin_prefetch(row_low + next - 1);
        }
        int32_t cell;
        found[i] = -1;
        while ((cell = cells[at])) {
            if (cell > 0 && row_low[cell - 1] == low[i] && row_high[cell - 1] == high[i]) {
                found[i] = cell - 1;
                break;
            }
            at = (at + 1) & mask;
        }
    }
}

/* Put rows into cells; return how many of these were empty. */
int64_t driftline_place_keys(int32_t *cells, int64_t mask, const uint64_t *seed,
                             const int64_t *slots, const uint64_t *high, const uint64_t *low,
                             int64_t count) {
    int64_t used = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t at = first_cell(high[i], low[i], seed) & mask;
        while (cells[at] > 0)
            at = (at + 1) & mask;
        used += !cells[at];
        cells[at] = (int32_t)slots[i] + 1;
    }
    return used;
}

/* Tell whether all numbers are different; -1: no memory. */
int driftline_different(const uint64_t *numbers, int64_t count) {
    int64_t size = 16, i = 0;
    while (size < 2 * count)
        size *= 2;
    int32_t *cells = calloc(size, sizeof *cells);
    if (!cells)
        return NO_MEMORY;
    for (; i < count; i++) {
        int64_t at = (numbers[i] * P64_1) >> 20 & (size - 1);
        while (cells[at] && numbers[cells[at] - 1] != numbers[i])
            at = (at + 1) & (size - 1);
        if (cells[at])
            break;
        cells[at] = (int32_t)i + 1;
    }
    free(cells);
    return i == count;
}

/* --- exact sums, see `exact_sum` */

/* Of 32 bits. A sum has room for 2**43 terms; while terms are added, a word has for 2**31. */
enum { TERM_WORDS = 3, CARRY_WORDS = 1 };

/* Return how far the lowest bit of a float is above that of 2**-1074. */
static int lowest_bit(uint64_t bits) {
    int exponent = (int)(bits >> 52) & 0x7FF;
    return exponent ? exponent - 1 : 0;
}

/* Return how many words the sums of finite floats take, 0 if all are 0; the lowest is `first`,
 * counted from 2**-1074. */
int64_t driftline_sum_words(const double *values, int64_t count, int64_t *first) {
    uint64_t least = UINT64_MAX, most = 0;
    for (int64_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bits &= UINT64_MAX >> 1;
        uint64_t below = bits - 1; /* 0 is no term, and becomes the largest of all */
        least = below < least ? below : least;
        most = bits > most ? bits : most;
    }
    if (!most)
        return 0;
    *first = lowest_bit(least + 1) >> 5;
    return (lowest_bit(most) >> 5) - *first + TERM_WORDS + CARRY_WORDS;
}

/* Add finite floats by group; a sum is a whole number of 2**-1074 * 2**(32 * first), in two's
 * complement. `sums` are `width` words for each group, all 0, and `words` are where the result
 * goes. */
void driftline_exact_sums(const double *values, const int64_t *group, int64_t count, int64_t size,
                          int64_t first, int64_t width, int64_t *sums, uint32_t *words) {
    for (int64_t i = 0; i < count; i++) {
        uint64_t bits;
        memcpy(&bits, values + i, sizeof bits);
        if (!(bits << 1))
            continue;
        int at_bit = lowest_bit(bits);
        uint64_t mantissa = bits & ((1ULL << 52) - 1);
        if ((bits >> 52) & 0x7FF)
            mantissa |= 1ULL << 52;
        int64_t *at = sums + group[i] * width + (at_bit >> 5) - first;
        unsigned __int128 shifted = (unsigned __int128)mantissa << (at_bit & 31);
        int64_t low = (uint32_t)shifted, middle = (uint32_t)(shifted >> 32),
                high = (uint32_t)(shifted >> 64);
        if (bits >> 63) {
            at[0] -= low;
            at[1] -= middle;
            at[2] -= high;
        } else {
            at[0] += low;
            at[1] += middle;
            at[2] += high;
        }
    }
    for (int64_t g = 0; g < size; g++) {
        int64_t carry = 0;
        for (int64_t w = g * width; w < (g + 1) * width; w++) {
            int64_t word = sums[w] + carry;
            words[w] = (uint32_t)word;
            carry = word >> 32;
        }
    }
}

/* Kernels of the column store. They know rows, bins and values, and nothing of models or metrics.
 *
 * `at` is the first row of an observation, `fan` how many rows follow each other (the features of a
 * layout); at[i] < 0: not counted. Every kernel that adds tells its fate, and in progress[0] how
 * far it came: what it has done stays done, and it is called again for the rest once there is room.
 * Rows, bins and packed bytes are checked: a mistake elsewhere is an error, and never a write
 * outside. Memory that is zero is an empty row of every kind of column. */
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef unsigned __int128 u128;
#define EXPORT __attribute__((visibility("default")))

/* as in kernels.py */
enum {
    DONE = 0,
    ROOM = 1,     /* memory must grow first */
    TOO_LARGE = 2, /* a number does not fit */
    SPILLED = 3,  /* progress[1] terms of sums must be added elsewhere */
    BAD_ROW = 4,
    BAD_BIN = 5,
    BAD_FAN = 6,
    DAMAGED = 7,
    FULL = 8, /* more bins than a row can have */
    ODD = 9   /* a packed row with numbers that do not fit is left to Python */
};

static inline int outside(int64_t row, int64_t fan, int64_t rows) {
    return row + fan > rows;
}

#define AHEAD 8 /* observations, whose memory is fetched early */

/* There will be rows of an observation. */
static inline int comes(const int32_t *at, int64_t i, int64_t n, int64_t fan, int64_t rows) {
    return i < n && at[i] >= 0 && !outside(at[i], fan, rows);
}

/* --- places: key -> first row; rows are handed out in order, `fan` at a time */

typedef struct {
    uint32_t tag; /* of the hash, so that growing and most searches touch no keys */
    int32_t row;  /* plus one; 0: nothing */
} slot;

static inline uint32_t mixed(int64_t key, uint64_t factor) {
    uint64_t hash = (uint64_t)key * factor;
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93ULL;
    hash ^= hash >> 32;
    hash *= 0xD6E8FEB86659FD93ULL;
    return (uint32_t)(hash >> 32);
}

static inline uint64_t place_of(const slot *slots, uint64_t mask, const int64_t *key_of,
                                int64_t key, uint32_t tag) {
    uint64_t at = tag & mask;
    while (slots[at].row && (slots[at].tag != tag || key_of[slots[at].row - 1] != key))
        at = (at + 1) & mask;
    return at;
}


/* state: [0] rows handed out, [1] keys; pool: [0] how many first rows of this fan are free.
 * Keys below `least` are no keys. fresh[] are the positions of keys that are new. */
EXPORT int driftline_find_rows(slot *slots, int64_t mask, uint64_t factor, int64_t *key_of,
                               int64_t capacity, int64_t *state, const int32_t *freed,
                               int64_t *pool, const int64_t *wanted, int64_t n, int64_t fan,
                               int64_t least, int add, int32_t *rows, int64_t *fresh,
                               int64_t *progress) {
    int64_t last_key = 0, last = -2;
    for (int64_t i = progress[0]; i < n; i++) {
        int64_t key = wanted[i];
        if (i + AHEAD < n)
            __builtin_prefetch(slots + (mixed(wanted[i + AHEAD], factor) & mask));
        if (key < least) {
            rows[i] = -1;
            continue;
        }
        if (last == -2 || key != last_key) {
            uint32_t tag = mixed(key, factor);
            uint64_t at = place_of(slots, (uint64_t)mask, key_of, key, tag);
            last = (int64_t)slots[at].row - 1;
            if (last < 0 && add) {
                int reused = pool[0] > 0;
                progress[0] = i;
                if (3 * (state[1] + 1) > 2 * (mask + 1) || (!reused && state[0] + fan > capacity))
                    return ROOM;
                if (!reused && state[0] + fan > INT32_MAX - 1)
                    return TOO_LARGE;
                if (reused) {
                    last = freed[--pool[0]];
                } else {
                    last = state[0];
                    state[0] += fan;
                }
                slots[at].tag = tag;
                slots[at].row = (int32_t)(last + 1);
                for (int64_t j = 0; j < fan; j++)
                    key_of[last + j] = key;
                state[1]++;
                fresh[progress[1]++] = i;
            } else if (last >= 0 && fan > 1 &&
                       (outside(last, fan, state[0]) || key_of[last + fan - 1] != key)) {
                progress[0] = i;
                return BAD_FAN;
            }
            last_key = key;
        }
        rows[i] = (int32_t)last;
    }
    progress[0] = n;
    return DONE;
}

/* Slots in rising order go to two rising places, and no key is looked at. */
EXPORT int driftline_rehash(const slot *from, int64_t from_mask, slot *to, int64_t mask) {
    for (int64_t i = 0; i <= from_mask; i++) {
        if (!from[i].row)
            continue;
        uint64_t at = from[i].tag & (uint64_t)mask;
        while (to[at].row)
            at = (at + 1) & (uint64_t)mask;
        to[at] = from[i];
    }
    return DONE;
}

/* Forget keys: rows[] are their first rows, -1 where there was none; freed[] has room for all. */
EXPORT int driftline_drop_rows(slot *slots, int64_t mask, uint64_t factor, int64_t *key_of,
                               int64_t *state, int32_t *freed, int64_t *pool,
                               const int64_t *wanted, int64_t n, int64_t fan, int64_t least,
                               int32_t *rows, int64_t *progress) {
    for (int64_t i = 0; i < n; i++) {
        int64_t key = wanted[i];
        rows[i] = -1;
        if (key < least)
            continue;
        uint64_t at = place_of(slots, (uint64_t)mask, key_of, key, mixed(key, factor));
        if (!slots[at].row)
            continue;
        int64_t first = (int64_t)slots[at].row - 1;
        if (outside(first, fan, state[0]) || key_of[first + fan - 1] != key ||
            (first + fan < state[0] && key_of[first + fan] == key)) {
            progress[0] = i;
            return BAD_FAN;
        }
        /* what follows moves up, unless that were before where its search begins */
        for (uint64_t next = at;;) {
            next = (next + 1) & (uint64_t)mask;
            if (!slots[next].row)
                break;
            uint64_t home = slots[next].tag & (uint64_t)mask;
            if (((next - home) & (uint64_t)mask) >= ((next - at) & (uint64_t)mask)) {
                slots[at] = slots[next];
                at = next;
            }
        }
        slots[at].row = 0;
        for (int64_t j = 0; j < fan; j++)
            key_of[first + j] = -1;
        freed[pool[0]++] = (int32_t)first;
        state[1]--;
        rows[i] = (int32_t)first;
    }
    return DONE;
}

/* --- dense counts and totals */

#define COUNT(NAME, KIND)                                                                          \
    EXPORT int NAME(KIND *counts, int64_t width, int64_t rows, const int32_t *at, int64_t fan,     \
                    const int64_t *bins, const int64_t *amounts, const int8_t *weights, int64_t n, \
                    int64_t *progress) {                                                           \
        int64_t i = progress[0] / fan, j = progress[0] % fan;                                      \
        for (; i < n; i++, j = 0) {                                                                \
            if (at[i] < 0)                                                                         \
                continue;                                                                          \
            progress[0] = i * fan;                                                                 \
            if (outside(at[i], fan, rows))                                                         \
                return BAD_ROW;                                                                    \
            int64_t weight = weights ? weights[i] : 1;                                             \
            for (; j < fan; j++) {                                                                 \
                int64_t k = i * fan + j, bin = bins[k], amount = weight;                           \
                if (bin < 0)                                                                       \
                    continue;                                                                      \
                progress[0] = k;                                                                   \
                if (bin >= width)                                                                  \
                    return BAD_BIN;                                                                \
                KIND *cell = counts + ((int64_t)at[i] + j) * width + bin, sum;                     \
                if ((amounts && __builtin_mul_overflow(weight, amounts[k], &amount)) ||            \
                    __builtin_add_overflow(*cell, amount, &sum))                                   \
                    return TOO_LARGE;                                                              \
                *cell = sum;                                                                       \
            }                                                                                      \
        }                                                                                          \
        progress[0] = n * fan;                                                                     \
        return DONE;                                                                               \
    }
COUNT(driftline_count_32, int32_t)
COUNT(driftline_count_64, int64_t)

/* sums[group] += row, or with at[] instead of groups: row at[i] += row */
#define COMBINE(NAME, TO, FROM, PLACE)                                                             \
    EXPORT int NAME(TO *sums, int64_t places, const FROM *counts, int64_t width, int64_t size,     \
                    const PLACE *at, const int32_t *rows, int64_t n, int64_t *progress) {          \
        int64_t j = progress[0] % width;                                                           \
        for (int64_t i = progress[0] / width; i < n; i++, j = 0) {                                 \
            if (rows[i] < 0 || at[i] < 0)                                                          \
                continue;                                                                          \
            progress[0] = i * width;                                                               \
            if (rows[i] >= size || at[i] >= places)                                                \
                return BAD_ROW;                                                                    \
            const FROM *from = counts + (int64_t)rows[i] * width;                                  \
            TO *to = sums + (int64_t)at[i] * width, sum;                                           \
            for (; j < width; j++) {                                                               \
                if (__builtin_add_overflow(to[j], from[j], &sum)) {                                \
                    progress[0] = i * width + j;                                                   \
                    return TOO_LARGE;                                                              \
                }                                                                                  \
                to[j] = sum;                                                                       \
            }                                                                                      \
        }                                                                                          \
        progress[0] = n * width;                                                                   \
        return DONE;                                                                               \
    }
COMBINE(driftline_merged_32, int64_t, int32_t, int64_t)
COMBINE(driftline_merged_64, int64_t, int64_t, int64_t)
COMBINE(driftline_merge_32_32, int32_t, int32_t, int32_t)
COMBINE(driftline_merge_64_32, int64_t, int32_t, int32_t)
COMBINE(driftline_merge_64_64, int64_t, int64_t, int32_t)

/* --- sparse counts: a row is a block of an arena: a sorted run of (bin, count), or, where that is
 * not larger, all counts of the bins from the least to the largest */

typedef struct {
    uint32_t bin;
    int32_t count;
} entry;

typedef struct {
    int64_t offset; /* of the block */
    int32_t size;   /* counts that are not 0 */
    uint8_t room;   /* size class of the block, plus one; 0: there is none */
    uint8_t dense;
    uint16_t unused;
} run;

#define CLASSES 48

/* 2, 4, 6, 8, 12, 16, 24, 32, 48, ... entries */
static inline int64_t class_size(int c) {
    return c ? (int64_t)(2 + ((c - 1) & 1)) << (1 + ((c - 1) >> 1)) : 2;
}

static inline int class_of(int64_t size) {
    int c = 0;
    while (c < CLASSES && class_size(c) < size)
        c++;
    return c;
}

/* A dense block begins with an entry that holds the bin of the first count. */
static inline int class_of_span(int64_t span) {
    return class_of(1 + ((span + 1) >> 1));
}

static inline int64_t dense_room(const run *of) {
    return 2 * (class_size(of->room - 1) - 1);
}

static inline int32_t *dense_counts(entry *begin) {
    return (int32_t *)(void *)(begin + 1);
}

/* state: [0] top of the arena, [1] entries on free lists, [2 ...] heads of these, plus one */
static inline int64_t take_block(const entry *arena, int64_t capacity, int64_t *state, int c) {
    int64_t at = state[2 + c] - 1;
    if (at >= 0) {
        memcpy(&state[2 + c], arena + at, sizeof at);
        state[1] -= class_size(c);
        return at;
    }
    if (state[0] + class_size(c) > capacity)
        return -1;
    at = state[0];
    state[0] += class_size(c);
    return at;
}

static inline void free_block(entry *arena, int64_t *state, run *of) {
    if (of->room) {
        int c = of->room - 1;
        memcpy(arena + of->offset, &state[2 + c], sizeof(int64_t));
        state[2 + c] = of->offset + 1;
        state[1] += class_size(c);
    }
    memset(of, 0, sizeof *of);
}

/* Call DO with every `bin` and `count` of a run, in rising order. */
#define EACH(OF, ARENA, DO)                                                                        \
    do {                                                                                           \
        const entry *each_ = (ARENA) + (OF)->offset;                                               \
        if ((OF)->dense) {                                                                         \
            const int32_t *counts_ = (const int32_t *)(const void *)(each_ + 1);                   \
            uint32_t bin = each_->bin;                                                             \
            for (int32_t left_ = (OF)->size; left_; counts_++, bin++)                              \
                if (*counts_) {                                                                    \
                    int32_t count = *counts_;                                                      \
                    left_--;                                                                       \
                    DO                                                                             \
                }                                                                                  \
        } else {                                                                                   \
            for (int32_t at_ = 0; at_ < (OF)->size; at_++) {                                       \
                uint32_t bin = each_[at_].bin;                                                     \
                int32_t count = each_[at_].count;                                                  \
                DO                                                                                 \
            }                                                                                      \
        }                                                                                          \
    } while (0)

/* Move a run to another block, dense or not, with room for one more bin. */
static int moved(run *of, entry *arena, int64_t capacity, int64_t *state, uint32_t more) {
    uint32_t low = more, high = more;
    if (of->size && !of->dense) {
        const entry *begin = arena + of->offset;
        low = begin->bin < low ? begin->bin : low;
        high = begin[of->size - 1].bin > high ? begin[of->size - 1].bin : high;
    } else if (of->size) {
        entry *begin = arena + of->offset;
        const int32_t *counts = dense_counts(begin);
        int64_t first = 0, last = dense_room(of) - 1;
        while (!counts[first])
            first++;
        while (!counts[last])
            last--;
        low = begin->bin + (uint32_t)first < low ? begin->bin + (uint32_t)first : low;
        high = begin->bin + (uint32_t)last > high ? begin->bin + (uint32_t)last : high;
    }
    int64_t span = (int64_t)high - low + 1;
    int sparse = class_of((int64_t)of->size + 1), dense = class_of_span(span);
    if (!of->dense && of->room > sparse)
        sparse = of->room;
    /* a dense run stays so up to twice the size: else one that wavers were moved all the time */
    int to_dense = of->size && dense <= sparse + (of->dense ? 2 : 0);
    int c = to_dense ? dense : sparse;
    if (c >= CLASSES)
        return FULL;
    int64_t to = take_block(arena, capacity, state, c);
    if (to < 0)
        return ROOM;
    run fresh = {to, of->size, (uint8_t)(c + 1), (uint8_t)to_dense, 0};
    entry *target = arena + to;
    if (to_dense) {
        int64_t slack = (dense_room(&fresh) - span) / 2;
        uint32_t base = slack < low ? low - (uint32_t)slack : 0;
        int32_t *counts = dense_counts(target);
        memset(target, 0, (size_t)class_size(c) * sizeof *target);
        target->bin = base;
        EACH(of, arena, counts[bin - base] = count;);
    } else {
        EACH(of, arena, target->bin = bin; target->count = count; target++;);
    }
    free_block(arena, state, of);
    *of = fresh;
    return DONE;
}

static int sparse_one(run *of, entry *arena, int64_t capacity, int64_t *state, uint32_t bin,
                      int32_t weight) {
    if (!weight)
        return DONE;
    entry *begin = arena + of->offset;
    if (of->dense) {
        uint32_t place = bin - begin->bin; /* huge if that is less */
        if (place >= dense_room(of)) {
            int fate = moved(of, arena, capacity, state, bin);
            return fate ? fate : sparse_one(of, arena, capacity, state, bin, weight);
        }
        int32_t *count = dense_counts(begin) + place, sum;
        if (__builtin_add_overflow(*count, weight, &sum))
            return TOO_LARGE;
        of->size += !*count - !sum;
        *count = sum;
        if (!of->size)
            free_block(arena, state, of);
        return DONE;
    }
    /* without branches, which no processor could foretell */
    int32_t low = 0;
    for (int32_t left = of->size; left;) {
        int32_t half = (left + 1) >> 1;
        low += -(int32_t)(begin[low + half - 1].bin < bin) & half;
        left -= half;
    }
    if (low < of->size && begin[low].bin == bin) {
        int32_t sum;
        if (__builtin_add_overflow(begin[low].count, weight, &sum))
            return TOO_LARGE;
        begin[low].count = sum;
        if (!sum) {
            of->size--;
            memmove(begin + low, begin + low + 1, (size_t)(of->size - low) * sizeof *begin);
            if (!of->size)
                free_block(arena, state, of);
        }
        return DONE;
    }
    if (!of->room || of->size == class_size(of->room - 1)) {
        int fate = moved(of, arena, capacity, state, bin);
        return fate ? fate : sparse_one(of, arena, capacity, state, bin, weight);
    }
    memmove(begin + low + 1, begin + low, (size_t)(of->size - low) * sizeof *begin);
    begin[low].bin = bin;
    begin[low].count = weight;
    of->size++;
    return DONE;
}

EXPORT int driftline_sparse_add(run *runs, int64_t rows, entry *arena, int64_t capacity,
                                int64_t *state, const int32_t *at, int64_t fan,
                                const int64_t *bins, const int8_t *weights, int64_t n,
                                int64_t *progress) {
    int64_t i = progress[0] / fan, j = progress[0] % fan, near = fan < 4 ? 4 : 2;
    for (; i < n; i++, j = 0) {
        if (at[i] < 0)
            continue;
        progress[0] = i * fan + j;
        if (outside(at[i], fan, rows))
            return BAD_ROW;
        /* blocks lie anywhere: with many rows, fetching them early takes half of the time */
        if (comes(at, i + AHEAD, n, fan, rows))
            __builtin_prefetch(runs + at[i + AHEAD]);
        if (comes(at, i + near, n, fan, rows))
            for (int64_t f = 0; f < fan; f++)
                __builtin_prefetch(arena + runs[at[i + near] + f].offset);
        int32_t weight = weights ? weights[i] : 1;
        for (; j < fan; j++) {
            int64_t bin = bins[i * fan + j];
            if (bin < 0)
                continue;
            int fate = bin > UINT32_MAX ? BAD_BIN
                                        : sparse_one(runs + at[i] + j, arena, capacity, state,
                                                     (uint32_t)bin, weight);
            if (fate) {
                progress[0] = i * fan + j;
                return fate;
            }
        }
    }
    progress[0] = n * fan;
    return DONE;
}

/* Take the count of a bin away, and return it. */
EXPORT int driftline_sparse_take(run *of, entry *arena, int64_t capacity, int64_t *state,
                                 uint32_t wanted, int64_t *taken) {
    int32_t found = 0;
    EACH(of, arena, if (bin == wanted) found = count;);
    if (found == INT32_MIN) { /* has no negative */
        sparse_one(of, arena, capacity, state, wanted, INT32_MAX);
        sparse_one(of, arena, capacity, state, wanted, 1);
    } else {
        sparse_one(of, arena, capacity, state, wanted, -found);
    }
    *taken = found;
    return DONE;
}

/* Add a count of any size to a bin. */
EXPORT int driftline_sparse_give(run *of, entry *arena, int64_t capacity, int64_t *state,
                                 uint32_t bin, int64_t count) {
    return sparse_one(of, arena, capacity, state, bin, (int32_t)count);
}

/* All entries of a row can be added without more room: blocks of all classes up to twice what
 * both take together would be. */
static int no_room_for(const run *of, int64_t more, int64_t capacity, const int64_t *state) {
    int c = class_of(of->size + more + 1) + 3;
    return c < CLASSES && state[0] + 4 * class_size(c) > capacity;
}

/* spilled[] are triples: the position in at[], the bin and the count that was too large to add. */
EXPORT int driftline_sparse_merge(run *runs, int64_t rows, entry *arena, int64_t capacity,
                                  int64_t *state, const int32_t *at, const run *others,
                                  int64_t other_rows, const entry *other_arena,
                                  const int32_t *from, int64_t n, int64_t *spilled, int64_t room,
                                  int64_t *progress) {
    progress[1] = 0;
    for (int64_t i = progress[0]; i < n; i++) {
        if (at[i] < 0 || from[i] < 0)
            continue;
        progress[0] = i;
        if (at[i] >= rows || from[i] >= other_rows)
            return BAD_ROW;
        run *of = runs + at[i];
        const run other = others[from[i]];
        if (no_room_for(of, other.size, capacity, state))
            return ROOM;
        if (progress[1] + other.size > room)
            return SPILLED;
        EACH(&other, other_arena,
             int fate = sparse_one(of, arena, capacity, state, bin, count);
             if (fate == TOO_LARGE) {
                 int64_t *spill = spilled + 3 * progress[1]++;
                 spill[0] = i;
                 spill[1] = bin;
                 spill[2] = count;
             } else if (fate) {
                 return FULL;
             });
    }
    progress[0] = n;
    return progress[1] ? SPILLED : DONE;
}

EXPORT int driftline_sparse_clear(run *runs, int64_t rows, entry *arena, int64_t *state,
                                  const int32_t *gone, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        if (gone[i] < 0 || gone[i] >= rows)
            return BAD_ROW;
        free_block(arena, state, runs + gone[i]);
    }
    return DONE;
}

/* Copy blocks behind each other, into an arena without gaps. */
EXPORT int driftline_sparse_compact(run *runs, int64_t n, const entry *from, entry *to,
                                     int64_t *state) {
    for (int64_t i = 0; i < n; i++) {
        if (!runs[i].room)
            continue;
        int64_t size = class_size(runs[i].room - 1);
        memcpy(to + state[0], from + runs[i].offset, (size_t)size * sizeof *to);
        runs[i].offset = state[0];
        state[0] += size;
    }
    return DONE;
}

/* What a group of rows has in its bins, while it is added up. */
typedef struct {
    int64_t *bins, *counts;
    int64_t size;
} entries;

/* Add the counts of all rows by bin, where there are few bins between the least and the largest. */
static void add_by_place(entries *to, const run *runs, const entry *arena, const int32_t *rows,
                         int64_t n, uint32_t low, int64_t span, int64_t *scratch) {
    memset(scratch, 0, (size_t)span * sizeof *scratch);
    for (int64_t i = 0; i < n; i++)
        if (rows[i] >= 0)
            EACH(runs + rows[i], arena, scratch[bin - low] += count;);
    for (int64_t j = 0; j < span; j++)
        if (scratch[j]) {
            to->bins[to->size] = low + j;
            to->counts[to->size++] = scratch[j];
        }
}

/* Add one row: both are sorted. */
static void add_sorted(entries *to, const run *of, const entry *arena, int64_t *scratch) {
    int64_t *bins = scratch, *counts = scratch + to->size, n = to->size, j = 0, k = 0;
    memcpy(bins, to->bins, (size_t)n * sizeof *bins);
    memcpy(counts, to->counts, (size_t)n * sizeof *counts);
#define TAKE(BIN, COUNT)                                                                           \
    do {                                                                                           \
        to->bins[k] = BIN;                                                                         \
        to->counts[k] = COUNT;                                                                     \
        k += to->counts[k] != 0;                                                                   \
    } while (0)
    EACH(of, arena, int64_t sum = count;
         for (; j < n && bins[j] < bin; j++) TAKE(bins[j], counts[j]);
         if (j < n && bins[j] == bin) sum += counts[j++];
         TAKE(bin, sum););
    for (; j < n; j++)
        TAKE(bins[j], counts[j]);
#undef TAKE
    to->size = k;
}

#define SPARED 4 /* places of scratch for every entry */

/* Entries of groups, which must rise, behind each other; `room` must be what the sizes of rows add
 * up to, and scratch[] have SPARED times that. progress[1] is how many there are. */
EXPORT int driftline_sparse_entries(const run *runs, int64_t size, const entry *arena,
                                    const int32_t *rows, const int64_t *group, int64_t n,
                                    int64_t *groups, int64_t *bins, int64_t *counts,
                                    int64_t room, int64_t *scratch, int64_t *progress) {
    int64_t done = 0, used = 0;
    for (int64_t i = 0, end; i < n; i = end) {
        int64_t total = 0, several = 0;
        uint32_t low = UINT32_MAX, high = 0;
        for (end = i; end < n && group[end] == group[i]; end++) {
            if (rows[end] < 0)
                continue;
            if (rows[end] >= size)
                return BAD_ROW;
            const run *of = runs + rows[end];
            if (!of->size)
                continue;
            const entry *begin = arena + of->offset;
            uint32_t last = of->dense ? begin->bin + (uint32_t)dense_room(of) - 1
                                      : begin[of->size - 1].bin;
            low = begin->bin < low ? begin->bin : low;
            high = last > high ? last : high;
            total += of->size;
            several++;
        }
        used += total;
        if (used > room)
            return BAD_ROW;
        entries found = {bins + done, counts + done, 0};
        int64_t span = (int64_t)high - low + 1;
        if (several > 1 && span <= SPARED * total)
            add_by_place(&found, runs, arena, rows + i, end - i, low, span, scratch);
        else
            for (int64_t j = i; j < end; j++)
                if (rows[j] >= 0 && runs[rows[j]].size)
                    add_sorted(&found, runs + rows[j], arena, scratch);
        for (int64_t j = 0; j < found.size; j++)
            groups[done + j] = group[i];
        done += found.size;
    }
    progress[1] = done;
    return DONE;
}

/* --- exact sums: W digits of 64 bits in two's complement, the lowest is digit `base` of a whole
 * number of 2**-1074. What does not fit is reported, and added elsewhere. */

#define W 4
#define SHIFT 2 /* bases are written plus this, so that 0 is an empty row; the least is -1 */
#define WIDE 40
#define MOST_DIGITS 34 /* of a sum that is read: 2**76 times the largest float */

/* so far from overflow that one more term, or one more such sum, cannot reach it */
static inline int far(uint64_t top) {
    return top + (1ULL << 61) < (1ULL << 62);
}

static inline void plus(uint64_t *digits, const uint64_t *term) {
    u128 sum = (u128)digits[0] + term[0];
    digits[0] = (uint64_t)sum;
    for (int k = 1; k < W; k++) {
        sum = (sum >> 64) + digits[k] + term[k];
        digits[k] = (uint64_t)sum;
    }
}

/* Returns 1, or 0 if the term does not fit, and nothing was done. */
static inline int sum_one(uint64_t *digits, uint8_t *base, uint64_t bits, int negate) {
    if (!(bits << 1))
        return 1;
    unsigned exponent = (unsigned)(bits >> 52) & 0x7FF;
    uint64_t mantissa = (bits & ((1ULL << 52) - 1)) | (uint64_t)(exponent != 0) << 52;
    unsigned place = exponent - (exponent != 0);
    int digit = (int)(place >> 6);
    int lowest = *base ? *base - SHIFT : digit - 1;
    unsigned position = (unsigned)(digit - lowest);
    if (position > W - 2)
        return 0;
    /* in two's complement, without branches: signs are hard to predict */
    uint64_t sign = 0 - ((bits >> 63) ^ (uint64_t)negate);
    u128 term = (u128)mantissa << (place & 63);
    u128 whole = (u128)sign << 64 | sign;
    term = (term ^ whole) - whole;
    uint64_t words[2 * W] = {0, 0, 0, (uint64_t)term, (uint64_t)(term >> 64), sign, sign, sign};
    uint64_t next[W];
    memcpy(next, digits, sizeof next);
    plus(next, words + 3 - position);
    if (!far(next[W - 1]))
        return 0;
    memcpy(digits, next, sizeof next);
    *base = (uint8_t)(lowest + SHIFT);
    return 1;
}

/* spilled[] lists terms that did not fit; its size ends the call. */
EXPORT int driftline_sum_add(uint64_t *digits, uint8_t *base, int64_t rows, const int32_t *at,
                             int64_t fan, const double *values, const int8_t *weights, int64_t n,
                             int64_t *spilled, int64_t room, int64_t *progress) {
    int64_t i = progress[0] / fan, j = progress[0] % fan;
    progress[1] = 0;
    for (; i < n; i++, j = 0) {
        int weight = weights ? weights[i] : 1;
        if (at[i] < 0 || !weight)
            continue;
        progress[0] = i * fan + j;
        if (outside(at[i], fan, rows))
            return BAD_ROW;
        if (weight < -1 || weight > 1)
            return BAD_BIN;
        if (comes(at, i + 2, n, fan, rows))
            for (int64_t f = 0; f < fan; f += 2)
                __builtin_prefetch(digits + (at[i + 2] + f) * W);
        for (; j < fan; j++) {
            int64_t row = at[i] + j;
            uint64_t bits;
            memcpy(&bits, values + i * fan + j, sizeof bits);
            if ((bits >> 52 & 0x7FF) == 0x7FF || /* not finite */
                sum_one(digits + row * W, base + row, bits, weight < 0))
                continue;
            spilled[progress[1]++] = i * fan + j;
            if (progress[1] == room) {
                progress[0] = i * fan + j + 1;
                return SPILLED;
            }
        }
    }
    progress[0] = n * fan;
    return progress[1] ? SPILLED : DONE;
}

/* wide += a sum; digit d is wide[d + SHIFT] */
static void add_wide(uint64_t *wide, const uint64_t *digits, uint8_t base) {
    uint64_t carry = 0, sign = digits[W - 1] >> 63 ? ~0ULL : 0;
    for (int k = base; k < WIDE; k++) {
        u128 sum = (u128)wide[k] + (k - base < W ? digits[k - base] : sign) + carry;
        wide[k] = (uint64_t)sum;
        carry = (uint64_t)(sum >> 64);
    }
}

/* Write a wide number as a row; 0: it does not fit. */
static int narrowed(const uint64_t *wide, uint64_t *digits, uint8_t *base) {
    int low = 0;
    while (low < WIDE && !wide[low])
        low++;
    if (low == WIDE) {
        memset(digits, 0, W * sizeof *digits);
        *base = 0;
        return 1;
    }
    uint64_t sign = wide[WIDE - 1] >> 63 ? ~0ULL : 0;
    /* one digit more below where there is room: terms may be smaller than what is there */
    for (int first = low > 1 ? low - 1 : low; first <= low; first++) {
        int high = WIDE - 1;
        while (high > first + W - 1 && wide[high] == sign)
            high--;
        if (first + W > WIDE || high > first + W - 1 ||
            wide[first + W - 1] >> 63 != (sign & 1) || !far(wide[first + W - 1]))
            continue;
        memcpy(digits, wide + first, W * sizeof *digits);
        *base = (uint8_t)first;
        return 1;
    }
    return 0;
}

/* at[i] += from[i] of another column; spilled[] (room for n) lists what did not fit. */
EXPORT int driftline_sum_merge(uint64_t *digits, uint8_t *base, int64_t rows, const int32_t *at,
                               const uint64_t *others, const uint8_t *other_base,
                               int64_t other_rows, const int32_t *from, int64_t n,
                               int64_t *spilled, int64_t *progress) {
    progress[1] = 0;
    for (int64_t i = 0; i < n; i++) {
        if (at[i] < 0 || from[i] < 0)
            continue;
        progress[0] = i;
        if (at[i] >= rows || from[i] >= other_rows)
            return BAD_ROW;
        uint64_t *mine = digits + (int64_t)at[i] * W, next[W];
        const uint64_t *other = others + (int64_t)from[i] * W;
        uint8_t *to = base + at[i], of = other_base[from[i]];
        if (!of)
            continue;
        if (!*to) {
            memcpy(mine, other, sizeof next);
            *to = of;
            continue;
        }
        if (*to == of) {
            memcpy(next, mine, sizeof next);
            plus(next, other);
            if (far(next[W - 1])) {
                memcpy(mine, next, sizeof next);
                continue;
            }
        }
        uint64_t wide[WIDE] = {0};
        add_wide(wide, mine, *to);
        add_wide(wide, other, of);
        if (!narrowed(wide, mine, to))
            spilled[progress[1]++] = i;
    }
    progress[0] = n;
    return DONE;
}

/* number / (count * 2**1074), rounded once, half to even; changes `wide` */
static double quotient(uint64_t *wide, int64_t divisor) {
    uint64_t count = divisor < 0 ? 0 - (uint64_t)divisor : (uint64_t)divisor;
    int negative = (int)(wide[WIDE - 1] >> 63);
    if (negative) {
        uint64_t carry = 1;
        for (int k = 0; k < WIDE; k++) {
            u128 sum = (u128)~wide[k] + carry;
            wide[k] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
    }
    int top = WIDE - 1;
    while (top >= 0 && !wide[top])
        top--;
    if (top < 0)
        return 0.0;
    negative ^= divisor < 0;
    int lead = __builtin_clzll(wide[top]);
    uint64_t next = top ? wide[top - 1] : 0, third = top > 1 ? wide[top - 2] : 0;
    u128 high = (u128)wide[top] << 64 | next;
    uint64_t lost = third;
    if (lead) {
        high = high << lead | third >> (64 - lead);
        lost = third << lead;
    }
    int sticky = lost != 0;
    for (int k = top - 3; k >= 0 && !sticky; k--)
        sticky = wide[k] != 0;
    /* high has its highest bit set; the number is high * 2**power units */
    int power = 64 * (top - SHIFT) - lead - 64;
    u128 ratio = high / count;
    sticky |= high % count != 0;
    int bits = ratio >> 64 ? 128 - __builtin_clzll((uint64_t)(ratio >> 64))
                           : 64 - __builtin_clzll((uint64_t)ratio);
    int shift = bits - 53;
    if (shift < -power)
        shift = -power; /* nothing is finer than a unit */
    if (shift > 127)
        return negative ? -0.0 : 0.0;
    uint64_t kept = shift > 0 ? (uint64_t)(ratio >> shift) : (uint64_t)ratio;
    if (shift > 0) {
        u128 rest = ratio & (((u128)1 << shift) - 1), half = (u128)1 << (shift - 1);
        if (rest > half || (rest == half && (sticky || (kept & 1))))
            kept++;
    } else {
        shift = 0;
    }
    double found = ldexp((double)kept, power + shift - 1074);
    return negative ? -found : found;
}

EXPORT int driftline_sum_means(const uint64_t *digits, const uint8_t *base, int64_t size,
                               const int32_t *rows, const int64_t *ends, int64_t groups,
                               const int64_t *counts, double *means) {
    int64_t i = 0;
    for (int64_t g = 0; g < groups; g++) {
        uint64_t wide[WIDE] = {0};
        for (; i < ends[g]; i++) {
            if (rows[i] >= size)
                return BAD_ROW;
            if (rows[i] >= 0 && base[rows[i]])
                add_wide(wide, digits + (int64_t)rows[i] * W, base[rows[i]]);
        }
        means[g] = counts[g] ? quotient(wide, counts[g]) : NAN;
    }
    return DONE;
}

/* --- rows as bytes: varints, with runs of zeros. What is written depends on what was counted, and
 * on nothing else; packing.py writes and reads the same. */

enum { COUNTS = 0, SPARSE = 1, SUMS = 2, TOTALS = 3 };

typedef struct {
    int64_t kind;
    int64_t width; /* counts of a row */
    int64_t wide;  /* counts have 64 bits */
    int64_t rows;
    void *data;
    void *more;       /* arena, bases */
    int64_t capacity; /* of the arena */
    int64_t *state;
} column;

static inline uint8_t *put(uint8_t *to, uint64_t number) {
    while (number >= 128) {
        *to++ = (uint8_t)(number | 128);
        number >>= 7;
    }
    *to++ = (uint8_t)number;
    return to;
}

static inline uint64_t zigzag(int64_t number) {
    return (uint64_t)number << 1 ^ (number < 0 ? ~0ULL : 0);
}

static inline int64_t count_at(const column *of, int64_t place) {
    return of->wide ? ((const int64_t *)of->data)[place] : ((const int32_t *)of->data)[place];
}

/* The width without zeros at the end; then by turns how many zeros, how many others, the others.
 * One zero among others stays there. */
static uint8_t *pack_counts(uint8_t *to, const column *of, int64_t row) {
    int64_t first = row * of->width, width = of->width;
    if (width == 1)
        return put(to, zigzag(count_at(of, first)));
    while (width && !count_at(of, first + width - 1))
        width--;
    to = put(to, (uint64_t)width);
    for (int64_t j = 0; j < width;) {
        int64_t begin = j, end;
        while (!count_at(of, first + j))
            j++;
        for (end = j; end < width && (count_at(of, first + end) ||
                                      (end + 1 < width && count_at(of, first + end + 1)));)
            end++;
        to = put(to, (uint64_t)(j - begin));
        to = put(to, (uint64_t)(end - j));
        for (; j < end; j++)
            to = put(to, zigzag(count_at(of, first + j)));
    }
    return to;
}

/* How many, then of each the step from the bin before, and its count: one, which most are, takes
 * no byte, the lowest bit of the step says it. */
static uint8_t *pack_sparse(uint8_t *to, const run *of, const entry *arena) {
    uint64_t last = 0;
    to = put(to, (uint64_t)of->size);
    EACH(of, arena,
         to = put(to, (bin - last) << 1 | (count != 1));
         last = bin;
         if (count != 1) to = put(to, zigzag(count)););
    return to;
}

/* How many bytes, how many zero bytes are left out before them, the bytes in two's complement. */
static uint8_t *pack_sum(uint8_t *to, const uint64_t *digits, uint8_t base) {
    uint8_t bytes[8 * W];
    for (int k = 0; k < 8 * W; k++)
        bytes[k] = (uint8_t)(digits[k >> 3] >> (8 * (k & 7)));
    int first = 0, last = 8 * W - 1;
    while (first < 8 * W && !bytes[first])
        first++;
    if (!base || first == 8 * W)
        return put(to, 0);
    uint8_t sign = bytes[last] & 128 ? 255 : 0;
    while (last > first && bytes[last] == sign && !((bytes[last - 1] ^ sign) & 128))
        last--;
    to = put(to, (uint64_t)(last - first + 1));
    to = put(to, (uint64_t)(8 * (base - SHIFT) + first));
    memcpy(to, bytes + first, (size_t)(last - first + 1));
    return to + (last - first + 1);
}

/* The most bytes that a row can take. */
static int64_t most_bytes(const column *of, int64_t row) {
    if (of->kind == SUMS)
        return 8 * W + 20;
    if (of->kind == SPARSE)
        return 10 * (int64_t)((const run *)of->data)[row].size + 10;
    return 12 * of->width + 32;
}

/* Pack rows one after the other, all columns of each; ends[i] is where row i ends. */
EXPORT int driftline_pack_rows(const column *columns, int64_t count, const int32_t *rows,
                               int64_t n, uint8_t *out, int64_t capacity, int64_t *ends,
                               int64_t *progress) {
    uint8_t *to = out + progress[1];
    for (int64_t i = progress[0]; i < n; i++) {
        progress[0] = i;
        progress[1] = to - out;
        int64_t most = 0;
        for (int64_t c = 0; c < count; c++) {
            if (rows[i] < 0 || rows[i] >= columns[c].rows)
                return BAD_ROW;
            most += most_bytes(columns + c, rows[i]);
        }
        if (most > capacity - (to - out))
            return ROOM;
        for (int64_t c = 0; c < count; c++) {
            const column *of = columns + c;
            if (of->kind == SUMS)
                to = pack_sum(to, (const uint64_t *)of->data + (int64_t)rows[i] * W,
                              ((const uint8_t *)of->more)[rows[i]]);
            else if (of->kind == SPARSE)
                to = pack_sparse(to, (const run *)of->data + rows[i], of->more);
            else
                to = pack_counts(to, of, rows[i]);
        }
        ends[i] = to - out;
    }
    progress[0] = n;
    progress[1] = to - out;
    return DONE;
}

/* Bytes that are still to be read; `at` is NULL once they were not what was written. */
typedef struct {
    const uint8_t *at, *end;
} reader;

static uint64_t get(reader *from) {
    uint64_t found = 0;
    for (int shift = 0; from->at && from->at < from->end; shift += 7) {
        uint64_t byte = *from->at++;
        if (shift == 63 && byte > 1)
            break;
        found |= (byte & 127) << shift;
        if (byte < 128)
            return found;
    }
    from->at = NULL;
    return 0;
}

static inline int64_t unzigzag(uint64_t number) {
    return (int64_t)(number >> 1 ^ (number & 1 ? ~0ULL : 0));
}

static int read_count(reader *from, const column *of, int64_t place) {
    int64_t count = unzigzag(get(from));
    if (of->wide)
        ((int64_t *)of->data)[place] = count;
    else if (count != (int32_t)count)
        return ODD;
    else
        ((int32_t *)of->data)[place] = (int32_t)count;
    return from->at ? DONE : DAMAGED;
}

static int read_counts(reader *from, const column *of, int64_t row) {
    int64_t first = row * of->width;
    size_t size = of->wide ? sizeof(int64_t) : sizeof(int32_t);
    if (of->width == 1)
        return read_count(from, of, first);
    memset((uint8_t *)of->data + (size_t)first * size, 0, (size_t)of->width * size);
    uint64_t width = get(from), j = 0;
    if (!from->at || width > (uint64_t)of->width)
        return DAMAGED;
    while (j < width) {
        uint64_t zeros = get(from), others = get(from);
        if (!from->at || zeros > width - j || others > width - j - zeros || !others)
            return DAMAGED;
        j += zeros;
        for (; others; others--, j++) {
            int fate = read_count(from, of, first + (int64_t)j);
            if (fate)
                return fate;
        }
    }
    return DONE;
}

static int read_sparse(reader *from, const column *of, int64_t row) {
    run *target = (run *)of->data + row;
    entry *arena = of->more;
    free_block(arena, of->state, target);
    uint64_t size = get(from), bin = 0;
    if (!from->at || size > (uint64_t)(from->end - from->at))
        return DAMAGED; /* each takes a byte at least */
    if (!size)
        return DONE;
    int c = class_of((int64_t)size);
    if (c >= CLASSES)
        return DAMAGED;
    int64_t to = take_block(arena, of->capacity, of->state, c);
    if (to < 0)
        return ROOM;
    target->offset = to;
    target->room = (uint8_t)(c + 1);
    for (uint64_t j = 0; j < size; j++) {
        uint64_t number = get(from);
        int64_t count = number & 1 ? unzigzag(get(from)) : 1;
        if (!from->at || number >> 33 || (j && number < 2) || !count)
            return DAMAGED;
        bin += number >> 1;
        if (bin > UINT32_MAX)
            return DAMAGED;
        if (count != (int32_t)count)
            return ODD;
        arena[to + (int64_t)j].bin = (uint32_t)bin;
        arena[to + (int64_t)j].count = (int32_t)count;
        target->size++;
    }
    return DONE;
}

static int read_sum(reader *from, const column *of, int64_t row) {
    uint64_t *digits = (uint64_t *)of->data + row * W, wide[WIDE] = {0};
    uint8_t *base = (uint8_t *)of->more + row;
    memset(digits, 0, W * sizeof *digits);
    *base = 0;
    uint64_t size = get(from), zeros = size ? get(from) : 0;
    if (!from->at || size > 8 * MOST_DIGITS || zeros > 8 * MOST_DIGITS - size ||
        size > (uint64_t)(from->end - from->at))
        return DAMAGED;
    if (!size)
        return DONE;
    for (uint64_t k = 0; k < size; k++) {
        uint64_t place = k + zeros + 8 * SHIFT;
        wide[place >> 3] |= (uint64_t)from->at[k] << (8 * (place & 7));
    }
    if (from->at[size - 1] & 128)
        for (uint64_t place = zeros + size + 8 * SHIFT; place < 8 * WIDE; place++)
            wide[place >> 3] |= 255ULL << (8 * (place & 7));
    from->at += size;
    return narrowed(wide, digits, base) ? DONE : ODD;
}

/* Read rows, which are overwritten; ends[i] is where row i ends. */
EXPORT int driftline_unpack_rows(const column *columns, int64_t count, const int32_t *rows,
                                 int64_t n, const uint8_t *data, int64_t size,
                                 const int64_t *starts, int64_t *ends, int64_t *progress) {
    for (int64_t i = progress[0]; i < n; i++) {
        progress[0] = i;
        if (starts[i] < 0 || starts[i] > size)
            return DAMAGED;
        reader from = {data + starts[i], data + size};
        for (int64_t c = 0; c < count; c++) {
            const column *of = columns + c;
            if (rows[i] < 0 || rows[i] >= of->rows)
                return BAD_ROW;
            int fate = of->kind == SUMS     ? read_sum(&from, of, rows[i])
                       : of->kind == SPARSE ? read_sparse(&from, of, rows[i])
                                            : read_counts(&from, of, rows[i]);
            if (fate)
                return fate;
        }
        ends[i] = from.at - data;
    }
    progress[0] = n;
    return DONE;
}

/* --- records of MessagePack: every record has the same pieces in the same order, see joined.py */

enum { SAME = 0, SPAN = 1, BINARY = 2, ARRAY = 3, TEXTS = 4, CHOSEN = 5 };

typedef struct {
    int64_t kind;
    const uint8_t *data;
    int64_t size;
    const int64_t *numbers; /* bounds of the records' bytes, one more than records; or lengths;
                             * of a text that each has, which */
    const int64_t *chosen;  /* texts: which of them, one record's behind the other's */
    const int64_t *starts;  /* of the texts in the data, one more than texts */
    int64_t texts;
} piece;

#define MOST_HEAD 5 /* bytes */

/* How bytes (0xc4 in one byte, in two, in four), or an array, begin. */
static uint8_t *put_head(uint8_t *to, int kind, uint64_t length) {
    int bytes = 4;
    if (kind == ARRAY && length < 16) {
        *to++ = (uint8_t)(0x90 | length);
        return to;
    }
    if (kind == BINARY && length < 1 << 8)
        bytes = 1;
    else if (length < 1 << 16)
        bytes = 2;
    *to++ = (uint8_t)(kind == ARRAY ? 0xdc + (bytes == 4) : 0xc4 + (bytes >> 1));
    while (bytes--)
        *to++ = (uint8_t)(length >> 8 * bytes);
    return to;
}

/* A text; NULL if it is not there, or there is no room. */
static uint8_t *put_text(uint8_t *to, const uint8_t *end, const piece *of, int64_t text) {
    if (text < 0 || text >= of->texts)
        return NULL;
    int64_t start = of->starts[text], size = of->starts[text + 1] - start;
    if (start < 0 || size < 0 || size > of->size - start || size > end - to)
        return NULL;
    memcpy(to, of->data + start, (size_t)size);
    return to + size;
}

/* Texts of a record, as an array; NULL if there is something wrong, or no room. */
static uint8_t *put_texts(uint8_t *to, const uint8_t *end, const piece *of, int64_t i) {
    int64_t first = of->numbers[i], last = of->numbers[i + 1];
    if (end - to < MOST_HEAD)
        return NULL;
    to = put_head(to, ARRAY, (uint64_t)(last - first));
    for (int64_t k = first; to && k < last; k++)
        to = put_text(to, end, of, of->chosen[k]);
    return to;
}

EXPORT int driftline_join_records(const piece *pieces, int64_t count, int64_t n, uint8_t *out,
                                  int64_t capacity, int64_t *ends, int64_t *progress) {
    uint8_t *to = out + progress[1];
    for (int64_t i = progress[0]; i < n; i++) {
        for (int64_t p = 0; p < count; p++) {
            const piece *of = pieces + p;
            int64_t start = 0, size = of->size;
            if (of->kind == TEXTS || of->kind == CHOSEN) {
                if (of->kind == TEXTS && (of->numbers[i] < 0 || of->numbers[i] > of->numbers[i + 1] ||
                                          of->numbers[i + 1] > of->numbers[n])) /* all chosen */
                    return BAD_ROW;
                to = of->kind == TEXTS ? put_texts(to, out + capacity, of, i)
                                       : put_text(to, out + capacity, of, of->numbers[i]);
                if (!to)
                    return BAD_ROW;
                continue;
            }
            if (of->kind == ARRAY) {
                size = 0;
                start = of->numbers[i];
                if (start < 0 || start > UINT32_MAX)
                    return BAD_ROW;
            } else if (of->kind != SAME) {
                start = of->numbers[i];
                size = of->numbers[i + 1] - start;
                if (start < 0 || start > of->numbers[i + 1] || of->numbers[i + 1] > of->size)
                    return BAD_ROW;
            }
            if (size + MOST_HEAD > capacity - (to - out))
                return ROOM;
            if (of->kind == ARRAY)
                to = put_head(to, ARRAY, (uint64_t)start);
            else if (of->kind == BINARY)
                to = put_head(to, BINARY, (uint64_t)size);
            if (size)
                memcpy(to, of->data + start, (size_t)size);
            to += size;
        }
        ends[i] = to - out;
        progress[0] = i + 1;
        progress[1] = to - out;
    }
    return DONE;
}

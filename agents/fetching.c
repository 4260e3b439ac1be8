/* Take records from librdkafka by columns, so that none needs a Python object of its own.
 *
 * Rules of this file:
 *
 * - librdkafka is the one that confluent-kafka brings along; its functions are handed in, so that
 *   nothing is linked. Only its public interface is used, whose layouts are stable.
 * - The consumer stays confluent-kafka's: it joins groups, seeks, pauses and polls. Here, only
 *   records are taken, from a queue to which open partitions are forwarded.
 * - What was taken is released in the same call of `agents.fetching`, after it was copied.
 *
 * Called through ctypes by `agents.fetching`. All calls come from the poll thread.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

/* As in rdkafka.h. */
typedef struct {
    int err;
    void *topic;
    int32_t partition;
    void *value;
    size_t value_size;
    void *key;
    size_t key_size;
    int64_t offset;
    void *private_;
} message;

/* Handed in by `agents.fetching`, in this order. */
static struct {
    int (*add_on_new)(void *conf, const char *name, void *on_new, void *opaque);
    void *(*queue_new)(void *client);
    void (*queue_destroy)(void *queue);
    void *(*queue_get_partition)(void *client, const char *topic, int32_t partition);
    void (*queue_forward)(void *from, void *to);
    ssize_t (*consume_batch_queue)(void *queue, int timeout_ms, message **found, size_t most);
    void (*message_destroy)(message *one);
    int64_t (*message_timestamp)(const message *one, int *kind);
    int (*message_headers)(const message *one, void **headers);
    int (*header_get_all)(const void *headers, size_t index, const char **name, const void **value,
                          size_t *size);
    const char *(*topic_name)(const void *topic);
} kafka;

void driftline_use_kafka(void *const *functions) { memcpy(&kafka, functions, sizeof kafka); }

/* --- the client that a consumer is about: librdkafka tells a plugin */

static _Thread_local void *newest;

static int on_new(void *client, const void *conf, void *opaque, char *error, size_t size) {
    (void)conf, (void)opaque, (void)error, (void)size;
    newest = client;
    return 0;
}

int conf_init(void *conf, void **opaque, char *error, size_t size) {
    (void)opaque, (void)error, (void)size;
    return kafka.add_on_new(conf, "driftline", (void *)on_new, NULL);
}

/* Return the client that this thread has made last, and forget it. */
void *driftline_newest(void) {
    void *found = newest;
    newest = NULL;
    return found;
}

/* --- records */

/* Records of one partition that came at once; or an error, of which there is one. */
typedef struct {
    const char *topic;
    int64_t partition, error, offset, count, value_bytes, key_bytes, header_bytes, nulls;
    const char *reason;
    int64_t reason_size;
} group;

typedef struct {
    message **messages;
    int32_t *group_of;
    group *groups;
    int64_t most, most_groups, count, group_count;
} taken;

void *driftline_queue(void *client) { return kafka.queue_new(client); }

void driftline_close(void *queue) { kafka.queue_destroy(queue); }

/* Let records of a partition come to the queue; 0 if there is no such partition. */
int driftline_forward(void *client, const char *topic, int32_t partition, void *queue) {
    void *own = kafka.queue_get_partition(client, topic, partition);
    if (!own)
        return 0;
    kafka.queue_forward(own, queue);
    kafka.queue_destroy(own);
    return 1;
}

/* Headers as: how many, and for each the size of the name, the name, the size of the value or -1,
 * the value; sizes are of 32 bits. Without `to`, only say how many bytes that takes. */
static int64_t put_headers(const message *one, uint8_t *to) {
    void *headers;
    const char *name;
    const void *value;
    size_t size;
    int64_t at = 4;
    uint32_t count = 0;
    if (kafka.message_headers(one, &headers))
        return 0;
    for (; !kafka.header_get_all(headers, count, &name, &value, &size); count++) {
        uint32_t name_size = (uint32_t)strlen(name);
        int32_t value_size = value ? (int32_t)size : -1;
        if (to) {
            memcpy(to + at, &name_size, 4);
            memcpy(to + at + 4, name, name_size);
            memcpy(to + at + 4 + name_size, &value_size, 4);
            if (value_size > 0)
                memcpy(to + at + 8 + name_size, value, size);
        }
        at += 8 + name_size + (value_size > 0 ? value_size : 0);
    }
    if (to)
        memcpy(to, &count, 4);
    return count ? at : 0;
}

static int put_into_group(taken *all, int64_t i, void **topics) {
    message *one = all->messages[i];
    int64_t g = all->group_count - 1;
    if (!one->err)
        while (g >= 0 && (topics[g] != one->topic || all->groups[g].partition != one->partition
                          || all->groups[g].error))
            g--;
    if (one->err || g < 0) {
        if (all->group_count == all->most_groups)
            return 0;
        g = all->group_count++;
        topics[g] = one->topic;
        all->groups[g] = (group){
            .topic = one->topic ? kafka.topic_name(one->topic) : "",
            .partition = one->partition,
            .error = one->err,
            .offset = one->offset,
            .reason = one->err ? one->value : NULL,
            .reason_size = one->err && one->value ? (int64_t)one->value_size : 0,
        };
    }
    all->group_of[i] = (int32_t)g;
    if (!one->err) {
        group *own = all->groups + g;
        own->count++;
        own->value_bytes += (int64_t)one->value_size;
        own->key_bytes += (int64_t)one->key_size;
        own->nulls += !one->value || !one->key;
        own->header_bytes += put_headers(one, NULL);
    }
    return 1;
}

/* Take records; waits only as long as there is none. Returns how many groups they form; those that
 * would be one group too many are an error of -1. */
int64_t driftline_take(void *queue, int timeout_ms, taken *all) {
    all->count = all->group_count = 0;
    ssize_t first = kafka.consume_batch_queue(queue, timeout_ms, all->messages, 1);
    if (first <= 0)
        return first;
    ssize_t more = kafka.consume_batch_queue(queue, 0, all->messages + 1, (size_t)all->most - 1);
    all->count = first + (more > 0 ? more : 0);
    void **topics = calloc((size_t)all->most_groups, sizeof *topics);
    if (!topics)
        return -1;
    for (int64_t i = 0; i < all->count; i++)
        if (!put_into_group(all, i, topics)) {
            free(topics);
            return -1;
        }
    free(topics);
    return all->group_count;
}

/* Copy the records of a group. `ends` have one more than there are records; a flag of `nulls` is
 * 1 for a record without a value, 2 without a key. Columns that are NULL are not wanted. */
void driftline_copy(const taken *all, int64_t number, uint8_t *values, int64_t *value_ends,
                    uint8_t *keys, int64_t *key_ends, int64_t *offsets, int64_t *times_ms,
                    uint8_t *nulls, uint8_t *headers, int64_t *header_ends) {
    int64_t row = 0;
    value_ends[0] = key_ends[0] = 0;
    if (headers)
        header_ends[0] = 0;
    for (int64_t i = 0; i < all->count; i++) {
        const message *one = all->messages[i];
        int kind;
        if (all->group_of[i] != number)
            continue;
        if (one->value_size)
            memcpy(values + value_ends[row], one->value, one->value_size);
        if (one->key_size)
            memcpy(keys + key_ends[row], one->key, one->key_size);
        value_ends[row + 1] = value_ends[row] + (int64_t)one->value_size;
        key_ends[row + 1] = key_ends[row] + (int64_t)one->key_size;
        offsets[row] = one->offset;
        times_ms[row] = kafka.message_timestamp(one, &kind);
        if (nulls)
            nulls[row] = (uint8_t)(!one->value + 2 * !one->key);
        if (headers)
            header_ends[row + 1] =
                header_ends[row] + put_headers(one, headers + header_ends[row]);
        row++;
    }
}

/* Give back what was taken. */
void driftline_release(taken *all) {
    for (int64_t i = 0; i < all->count; i++)
        kafka.message_destroy(all->messages[i]);
    all->count = 0;
}

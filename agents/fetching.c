/* Take records from librdkafka by columns, so that none needs a Python object of its own.
 *
 * Rules of this file:
 *
 * - librdkafka is the one that confluent-kafka brings along; its functions are handed in, so that
 *   nothing is linked. Only its public interface is used, whose layouts are stable.
 * - The consumer stays confluent-kafka's: it joins groups, seeks, pauses and polls. Here, only
 *   records are taken, from a queue to which open partitions are forwarded.
 * - What was taken is released in the same call of `agents.fetching`, after it was copied.
 * - No callback of the consumer may run here: confluent-kafka's abort the process where none of its
 *   own calls is under way. Hence events: errors come as such, too.
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

typedef struct {
    char *topic;
    int32_t partition;
    int64_t offset;
    void *metadata;
    size_t metadata_size;
    void *opaque;
    int err;
    void *private_;
} topic_partition;

enum { FETCH = 0x2, ERROR = 0x8 };

/* Handed in by `agents.fetching`, in this order. */
static struct {
    int (*add_on_new)(void *conf, const char *name, void *on_new, void *opaque);
    void *(*queue_new)(void *client);
    void (*queue_destroy)(void *queue);
    void *(*queue_get_partition)(void *client, const char *topic, int32_t partition);
    void (*queue_forward)(void *from, void *to);
    void *(*queue_poll)(void *queue, int timeout_ms);
    int (*event_type)(const void *event);
    const message *(*event_message_next)(void *event);
    int (*event_error)(void *event);
    const char *(*event_error_string)(void *event);
    int (*event_error_is_fatal)(void *event);
    topic_partition *(*event_topic_partition)(void *event);
    void (*event_destroy)(void *event);
    void (*topic_partition_destroy)(topic_partition *place);
    int64_t (*message_timestamp)(const message *one, int *kind);
    int (*message_headers)(const message *one, void **headers);
    int (*header_get_all)(const void *headers, size_t index, const char **name, const void **value,
                          size_t *size);
    const char *(*topic_name)(const void *topic);
} kafka;

/* --- the client that a consumer is about: librdkafka tells a plugin */

static _Thread_local void *newest;

static int on_new(void *client, const void *conf, void *opaque, char *error, size_t size) {
    (void)conf, (void)opaque, (void)error, (void)size;
    newest = client;
    return 0;
}

int conf_init(void *conf, void **opaque, char *error, size_t size) {
    (void)opaque, (void)error, (void)size;
    if (!kafka.add_on_new) /* another copy of this library, which was not set up */
        return -1;
    return kafka.add_on_new(conf, "driftline", (void *)on_new, NULL);
}

/* Return the client that this thread has made last, and forget it. */
void *driftline_newest(void) {
    void *found = newest;
    newest = NULL;
    return found;
}

/* --- records */

/* Records of one partition that came at once; or an error, or the end of a partition. */
typedef struct {
    const char *topic;
    int64_t partition, error, fatal, offset, count, value_bytes, key_bytes, header_bytes, nulls;
    const char *reason;
    topic_partition *place;
} group;

/* `topics` is a scratch of as many as there may be groups. */
typedef struct {
    void **events;
    const message **messages;
    int32_t *group_of;
    group *groups;
    void **topics;
    int64_t most, count, group_count;
} taken;

/* Return 0 if whoever calls has another build in mind. */
int driftline_use(void *const *functions, size_t count, size_t group_size, size_t taken_size) {
    if (count * sizeof *functions != sizeof kafka || group_size != sizeof(group)
        || taken_size != sizeof(taken))
        return 0;
    memcpy(&kafka, functions, sizeof kafka);
    return 1;
}

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
    if (to && count)
        memcpy(to, &count, 4);
    return count ? at : 0;
}

static void put_into_group(taken *all, const message *one) {
    int64_t g = all->group_count - 1;
    while (g >= 0 && (all->topics[g] != one->topic || all->groups[g].partition != one->partition))
        g--;
    if (g < 0) {
        g = all->group_count++;
        all->topics[g] = one->topic;
        all->groups[g] =
            (group){.topic = kafka.topic_name(one->topic), .partition = one->partition};
    }
    group *own = all->groups + g;
    own->count++;
    own->value_bytes += (int64_t)one->value_size;
    own->key_bytes += (int64_t)one->key_size;
    own->nulls += !one->value || !one->key;
    own->header_bytes += put_headers(one, NULL);
    all->group_of[all->count] = (int32_t)g;
}

static void put_error(taken *all, void *event) {
    topic_partition *place = kafka.event_topic_partition(event);
    int64_t g = all->group_count++;
    all->topics[g] = NULL;
    all->groups[g] = (group){
        .topic = place ? place->topic : "",
        .partition = place ? place->partition : -1,
        .error = kafka.event_error(event),
        .fatal = kafka.event_error_is_fatal(event),
        .offset = place ? place->offset : -1,
        .reason = kafka.event_error_string(event),
        .place = place,
    };
    all->group_of[all->count] = -1;
}

/* Take records; waits only as long as there is none. Returns how many groups they form. */
int64_t driftline_take(void *queue, int timeout_ms, taken *all) {
    all->count = all->group_count = 0;
    while (all->count < all->most) {
        void *event = kafka.queue_poll(queue, all->count ? 0 : timeout_ms);
        if (!event)
            break;
        int type = kafka.event_type(event);
        const message *one = type == FETCH ? kafka.event_message_next(event) : NULL;
        if (one && !one->err) {
            put_into_group(all, one);
        } else if (type == ERROR) {
            put_error(all, event);
        } else {
            kafka.event_destroy(event);
            if (one) /* it had an error, which never comes in this way */
                return -1;
            continue;
        }
        all->messages[all->count] = one;
        all->events[all->count++] = event;
    }
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
    for (int64_t g = 0; g < all->group_count; g++)
        if (all->groups[g].place)
            kafka.topic_partition_destroy(all->groups[g].place);
    for (int64_t i = 0; i < all->count; i++)
        kafka.event_destroy(all->events[i]);
    all->count = all->group_count = 0;
}

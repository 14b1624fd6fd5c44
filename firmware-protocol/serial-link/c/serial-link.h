/*
 * The serial link in portable C99, for firmware: one end with frames among console text, sessions,
 * acknowledged delivery, flow control and pacing. ../README.md is the specification; SL-n are its clauses.
 *
 * No allocation, no I/O, no clock: memory, bytes and instants (microseconds of any one clock that never goes
 * back) come from the caller. Not reentrant: call one end from one task at a time, or under a lock.
 */
#ifndef ECHOKIT_SERIAL_LINK_H
#define ECHOKIT_SERIAL_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#ifdef __cplusplus
}
#endif

#endif

#define SLINK_VERSION 1
#define SLINK_FRAME_LEAST 96
#define SLINK_FRAME_RECOMMENDED 360
#define SLINK_FRAME_MOST 4096
#define SLINK_WINDOW_MOST 64
#define SLINK_SLOTS_MOST 127
#define SLINK_LOOSE 4
#define SLINK_NAME_MOST 64
#define SLINK_NEVER UINT64_MAX
#define SLINK_NO_LIMIT UINT32_MAX

/* Sizes of the memory of an end whose largest body has so many bytes. */
#define SLINK_STUFFED_BYTES(frame) ((frame) + (frame) / 254 + 1)
#define SLINK_WIRE_BYTES(frame) (2 + SLINK_STUFFED_BYTES(frame) + 6 + 1)
#define SLINK_FRAME_BYTES(frame) (SLINK_STUFFED_BYTES(frame) + 6)

typedef enum { SLINK_HOST = 0, SLINK_BOARD = 1 } slink_role;

/* Capabilities (SL-3.2). */
enum {
  SLINK_CAN_INJECT_MICROPHONE = 1 << 0,
  SLINK_CAN_TAP_SPEAKER = 1 << 1,
  SLINK_CAN_KEYS = 1 << 2,
  SLINK_CAN_LOG_LEVEL = 1 << 3,
  SLINK_CAN_IMA_ADPCM = 1 << 4,
  SLINK_CAN_OPUS = 1 << 5
};

/* Types of messages (SL-5). */
enum {
  SLINK_SERVER_EVENT = 1,
  SLINK_CLIENT_COMMAND = 2,
  SLINK_UPLOAD_AUDIO = 3,
  SLINK_MICROPHONE = 4,
  SLINK_SPEAKER = 5,
  SLINK_KEY = 6,
  SLINK_BOARD_STATE = 7,
  SLINK_BOARD_INFO = 8,
  SLINK_LOG_LEVEL = 9,
  SLINK_SERVER_OPEN = 10,
  SLINK_SERVER_OPENED = 11,
  SLINK_SERVER_CLOSE = 12
};

typedef enum {
  SLINK_NEW,
  SLINK_WAITING,
  SLINK_CONNECTED,
  SLINK_REFUSED,
  SLINK_CLOSED
} slink_state;

typedef enum {
  SLINK_TOO_SHORT,
  SLINK_TOO_LONG,
  SLINK_BAD_CHECK,
  SLINK_BAD_STUFFING,
  SLINK_UNFINISHED
} slink_damage;

/* Why a session has ended. */
typedef enum {
  SLINK_END_RESTARTED,
  SLINK_END_SILENT,
  SLINK_END_UNACKNOWLEDGED,
  SLINK_END_CLOSED,
  SLINK_END_VIOLATION
} slink_ending;

/* SL-3.3; 0: a reason of a later version. */
typedef enum {
  SLINK_REFUSAL_UNKNOWN = 0,
  SLINK_REFUSAL_VERSION = 1,
  SLINK_REFUSAL_ROLE = 2,
  SLINK_REFUSAL_LIMITS = 3
} slink_refusal;

typedef enum {
  SLINK_ON_CONNECTED,
  /* `number` was not delivered; told before SLINK_ON_DISCONNECTED. */
  SLINK_ON_UNDELIVERED,
  SLINK_ON_DISCONNECTED, /* ending */
  SLINK_ON_REFUSED,      /* by_peer, refusal */
  SLINK_ON_DELIVERED,    /* number */
  SLINK_ON_PONG,         /* round_trip_us, peer_clock_us */
  SLINK_ON_DAMAGED       /* damage, bytes, count */
} slink_event_kind;

typedef struct {
  slink_event_kind kind;
  uint32_t number;
  slink_ending ending;
  bool by_peer;
  slink_refusal refusal;
  uint64_t round_trip_us;
  uint64_t peer_clock_us;
  slink_damage damage;
  const uint8_t *bytes; /* valid during the call */
  size_t count;
} slink_event;

/* What the other end has said of itself; its name ends with a zero. */
typedef struct {
  uint32_t session;
  slink_role role;
  uint8_t version;
  uint16_t frame_maximum;
  uint8_t window;
  uint32_t message_maximum;
  uint32_t capabilities;
  char name[SLINK_NAME_MOST + 1];
} slink_peer;

/* A data frame that waits or is on its way. Memory of the caller, content of the link. */
typedef struct {
  uint32_t number;
  uint64_t left_us;
  uint16_t length;
  uint8_t transmissions; /* at most 2 are counted */
} slink_slot;

/*
 * What an end needs. All memory stays the caller's and must live as long as the end. Callbacks are called within
 * the functions below; bytes are valid during the call. `output` must not call the link, the others may (but not
 * slink_receive and slink_init).
 */
typedef struct {
  slink_role role;
  bool passive;              /* SL-4.2 */
  uint32_t bytes_per_second; /* of the line: a tenth of the baud rate */
  uint16_t frame_maximum;    /* SLINK_FRAME_LEAST to SLINK_FRAME_MOST */
  uint8_t window;            /* 1 to SLINK_WINDOW_MOST */
  uint32_t message_maximum;  /* at least SLINK_FRAME_LEAST; size of `message` */
  uint32_t room;             /* messages that are taken, or SLINK_NO_LIMIT */
  uint32_t capabilities;
  const char *name; /* UTF-8, or NULL */

  uint8_t *wire;        /* SLINK_WIRE_BYTES(frame_maximum) */
  uint8_t *frame;       /* SLINK_FRAME_BYTES(frame_maximum) */
  uint8_t *message;     /* message_maximum */
  uint8_t slot_count;   /* 1 to SLINK_SLOTS_MOST: data frames that wait or are on their way */
  slink_slot *slots;    /* slot_count */
  uint8_t *slot_bytes;  /* slot_count * frame_maximum */
  uint8_t *loose_bytes; /* SLINK_LOOSE * frame_maximum, or NULL: nothing is sent loose */

  void *context; /* handed to the callbacks */
  /* A number that was not used before, at random, not 0. */
  uint32_t (*new_session)(void *context);
  /* One frame for the line, to be written as a whole. */
  void (*output)(void *context, const uint8_t *bytes, size_t count);
  void (*message_arrived)(void *context, uint8_t type, const uint8_t *bytes, size_t count, bool loose);
  /* Console text, cut anywhere; may be NULL. */
  void (*text)(void *context, const uint8_t *bytes, size_t count);
  void (*event)(void *context, const slink_event *event);
} slink_settings;

typedef enum {
  SLINK_OK,
  SLINK_ERROR_SETTING,       /* a limit out of its range */
  SLINK_ERROR_NOT_CONNECTED, /* wait for SLINK_ON_CONNECTED */
  SLINK_ERROR_DIRECTION,     /* the other end sends this, or it is not sent loose */
  SLINK_ERROR_NOT_OFFERED,   /* the other end has not announced that it takes this */
  SLINK_ERROR_TOO_LONG,      /* for the other end, or for all slots together */
  SLINK_ERROR_BUSY           /* not enough free slots now; try again after SLINK_ON_DELIVERED */
} slink_result;

typedef struct {
  uint32_t frames_sent;
  uint32_t frames_repeated;
  uint32_t frames_received;
  uint32_t frames_unknown;
  uint32_t frames_out_of_order;
  uint32_t frames_without_room;
  uint32_t duplicates;
  uint32_t gaps_reported;
  uint32_t timeouts;
  uint32_t loose_dropped;
  uint32_t damaged[5]; /* by slink_damage */
} slink_statistics;

/* One end. The fields are private, but for `statistics`. */
typedef struct {
  slink_settings set;
  slink_statistics statistics;

  enum { SLINK_IN_TEXT, SLINK_IN_ZERO, SLINK_IN_CLOSED, SLINK_IN_FRAME } reading;
  size_t frame_length;

  slink_state state;
  uint32_t session;
  uint32_t peer_session;
  uint32_t refused_session;
  uint32_t announced;
  slink_peer peer;
  uint8_t hellos;
  bool hello_was_sent;
  uint64_t hello_at_us;
  uint64_t last_hello_us;
  uint64_t last_heard_us;
  uint64_t last_byte_us;
  uint64_t last_sent_us;
  uint64_t line_free_us;

  uint32_t next_number;
  uint8_t order[SLINK_SLOTS_MOST]; /* slots in use, the oldest first; behind `used`, the free ones */
  uint8_t used;
  uint8_t sent;   /* of them, those that were sent at least once */
  uint8_t cursor; /* the one that is sent next */
  uint8_t urgent; /* behind those sent, urgent ones that wait */
  uint8_t oldest; /* number of the data frame in order[0] */
  uint8_t peer_credit;
  uint8_t timeouts;
  bool is_measured;
  int64_t smoothed_us;
  int64_t variation_us;
  uint64_t poll_at_us;
  bool is_pinging;
  uint32_t pings;
  uint64_t ping_sent_us;
  uint16_t loose_length[SLINK_LOOSE];
  uint8_t loose_first;
  uint8_t loose_used;

  uint8_t expected;
  uint32_t room;
  uint8_t ahead_before;
  bool resend_due;
  uint8_t unacknowledged;
  uint64_t ack_at_us;
  bool has_part;
  uint8_t part_type;
  size_t part_length;
} slink;

/* SLINK_ERROR_SETTING: `link` must not be used. */
slink_result slink_init(slink *link, const slink_settings *settings);

/* Begins a session; also after a refusal and after slink_close. */
void slink_start(slink *link, uint64_t now_us);

/* Tells the other end, and is silent until slink_start. */
void slink_close(slink *link, uint64_t now_us);

/* Bytes as they arrived, cut anywhere. */
void slink_receive(slink *link, const uint8_t *bytes, size_t count, uint64_t now_us);

/* When slink_due is to be called; SLINK_NEVER: not before something else happens. */
uint64_t slink_next_deadline_us(const slink *link);

/* Harmless when called early or late. */
void slink_due(slink *link, uint64_t now_us);

/*
 * Takes a message, which is copied. `*number` (may be NULL) comes back with SLINK_ON_DELIVERED. A message with audio
 * that is not plain PCM is for an end with that capability (slink_peer_of); this is not looked at here.
 */
slink_result slink_send(slink *link, uint8_t type, const uint8_t *bytes, size_t count, uint64_t now_us,
                        uint32_t *number);

/* Once, without acknowledgement: SLINK_SPEAKER only, within one frame. */
slink_result slink_send_loose(slink *link, uint8_t type, const uint8_t *bytes, size_t count, uint64_t now_us);

/* Asks for the clock of the other end: SLINK_ON_PONG. */
slink_result slink_ping(slink *link, uint64_t now_us);

/* So many more messages are taken (SL-4.14). */
void slink_grant(slink *link, uint32_t messages, uint64_t now_us);

/* So many bytes of console text were put on the same line. */
void slink_text_written(slink *link, size_t count, uint64_t now_us);

slink_state slink_state_of(const slink *link);

/* NULL while not connected. */
const slink_peer *slink_peer_of(const slink *link);

/* ---- parts that can be used alone ---- */

/* `before`: the CRC of the bytes that stand before these, at first 0. */
uint32_t slink_crc32(uint32_t before, const uint8_t *bytes, size_t count);

/* Writes at most SLINK_STUFFED_BYTES(count) bytes and returns how many. */
size_t slink_stuff(const uint8_t *bytes, size_t count, uint8_t *stuffed);

/* In place or not (`bytes` may be `stuffed`); false when the groups do not fit, and then nothing is written. */
bool slink_unstuff(const uint8_t *stuffed, size_t count, uint8_t *bytes, size_t *length);

/* One frame on the line: writes at most SLINK_WIRE_BYTES(count) bytes and returns how many. */
size_t slink_encode_frame(const uint8_t *body, size_t count, uint8_t *wire);

/*
 * IMA ADPCM (SL-5.4). `*index` begins as 0 and is carried on. Returns the bytes of the block:
 * 4 + count / 2, or 0 for no sample.
 */
size_t slink_adpcm_encode(const int16_t *samples, size_t count, uint8_t *index, uint8_t *block);

/* Returns false for what is no block or has more samples than `most`. */
bool slink_adpcm_decode(const uint8_t *block, size_t bytes, int16_t *samples, size_t most, size_t *count);

#ifdef __cplusplus
}
#endif

#endif

/* See serial-link.h; SL-n are the clauses of ../README.md. */
#include "serial-link.h"

#include <string.h>

enum { MARKER = 0xc1, CHECK_BYTES = 6, DATA_HEAD = 6, LOOSE_HEAD = 2, HELLO_HEAD = 12, HELLO_BYTES = 24 };
enum { HELLO = 1, REFUSE = 2, CLOSE = 3, ACK = 4, DATA = 5, LOOSE = 6, PING = 7, PONG = 8 };
enum { FIRST = 1, LAST = 2, URGENT = 4 };
enum { RESEND = 1, POLL = 2 };
enum { CLOSE_FINISHED = 1, CLOSE_VIOLATION = 2 };
enum { NO_GAP = 255 };

/* SL-4 */
static const uint64_t hello_us[] = {250000, 500000, 1000000, 2000000};
#define HELLO_ANSWER_US 200000u
#define ACK_DELAY_US 5000u
#define RETRANSMIT_START_US 300000
#define RETRANSMIT_LEAST_US 50000
#define RETRANSMIT_MOST_US 2000000
#define RETRANSMIT_DOUBLINGS 2
#define RETRANSMIT_TIMES 16
#define POLL_US 250000u
#define KEEP_ALIVE_US 1000000u
#define SILENCE_US 5000000u
#define FRAME_GAP_US 500000u
#define LEAD_US 20000u

/* ---- numbers in bytes ---- */

static void put16(uint8_t *at, uint32_t value) {
  at[0] = (uint8_t)value;
  at[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *at, uint32_t value) {
  put16(at, value & 0xffffu);
  put16(at + 2, value >> 16);
}

static uint16_t get16(const uint8_t *at) { return (uint16_t)(at[0] | at[1] << 8); }

static uint32_t get32(const uint8_t *at) { return (uint32_t)get16(at) | (uint32_t)get16(at + 2) << 16; }

static uint64_t earlier(uint64_t one, uint64_t other) { return one < other ? one : other; }

static uint64_t later(uint64_t one, uint64_t other) { return one > other ? one : other; }

/* Whether so much time has passed; an instant that is still to come has not. */
static bool has_passed(uint64_t since_us, uint64_t duration_us, uint64_t now_us) {
  return now_us >= since_us && now_us - since_us >= duration_us;
}

/* ---- frames (SL-1, SL-2) ---- */

uint32_t slink_crc32(uint32_t before, const uint8_t *bytes, size_t count) {
  /* Four bits at a time: a table of 64 bytes. The ESP32 has this function in its ROM. */
  static const uint32_t table[16] = {0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u,
                                     0x4db26158u, 0x5005713cu, 0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu,
                                     0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu};
  uint32_t crc = ~before;
  size_t i;
  for (i = 0; i < count; i++) {
    crc ^= bytes[i];
    crc = crc >> 4 ^ table[crc & 15];
    crc = crc >> 4 ^ table[crc & 15];
  }
  return ~crc;
}

size_t slink_stuff(const uint8_t *bytes, size_t count, uint8_t *stuffed) {
  size_t code_at = 0;
  size_t at = 1;
  size_t i;
  for (i = 0; i < count; i++) {
    if (bytes[i] != 0) stuffed[at++] = bytes[i];
    if (bytes[i] == 0 || (at - code_at == 255 && i + 1 < count)) {
      stuffed[code_at] = (uint8_t)(at - code_at);
      code_at = at++;
    }
  }
  stuffed[code_at] = (uint8_t)(at - code_at);
  return at;
}

/* Bytes that are left without the stuffing; false when the groups do not fit. */
static bool unstuffed_length(const uint8_t *stuffed, size_t count, size_t *length) {
  size_t at;
  *length = 0;
  for (at = 0; at < count; at += stuffed[at]) {
    if (stuffed[at] == 0 || stuffed[at] > count - at) return false;
    if (memchr(stuffed + at + 1, 0, (size_t)stuffed[at] - 1) != NULL) return false;
    *length += (size_t)stuffed[at] - 1;
    if (stuffed[at] != 255 && at + stuffed[at] < count) *length += 1;
  }
  return true;
}

bool slink_unstuff(const uint8_t *stuffed, size_t count, uint8_t *bytes, size_t *length) {
  size_t at;
  size_t out = 0;
  if (!unstuffed_length(stuffed, count, length)) return false;
  for (at = 0; at < count;) {
    const uint8_t code = stuffed[at];
    /* The output never catches up with the input. */
    memmove(bytes + out, stuffed + at + 1, (size_t)code - 1);
    out += (size_t)code - 1;
    at += code;
    if (code != 255 && at < count) bytes[out++] = 0;
  }
  return true;
}

static void write_check(uint8_t *at, uint32_t crc) {
  int i;
  for (i = 0; i < CHECK_BYTES; i++) at[i] = (uint8_t)(0x80u | (crc >> (6 * i) & 0x3fu));
}

size_t slink_encode_frame(const uint8_t *body, size_t count, uint8_t *wire) {
  const size_t end = 2 + slink_stuff(body, count, wire + 2);
  wire[0] = 0;
  wire[1] = MARKER;
  write_check(wire + end, slink_crc32(0, wire + 1, end - 1));
  wire[end + CHECK_BYTES] = 0;
  return end + CHECK_BYTES + 1;
}

/* Bytes of the character that stands here; up to the end for one that is cut off; 0: none. */
static size_t character_length(const uint8_t *bytes, size_t left) {
  const uint8_t first = bytes[0];
  size_t length;
  size_t i;
  if (first < 0x80) {
    const bool is_control = first < 0x20 || first == 0x7f;
    return !is_control || first == 0x09 || first == 0x0a || first == 0x0d || first == 0x1b ? 1 : 0;
  }
  if (first < 0xc2 || first > 0xf4) return 0;
  length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  if (length > left) length = left;
  for (i = 1; i < length; i++) {
    uint8_t least = 0x80;
    uint8_t most = 0xbf;
    if (i == 1) {
      if (first == 0xe0) least = 0xa0;
      if (first == 0xed) most = 0x9f;
      if (first == 0xf0) least = 0x90;
      if (first == 0xf4) most = 0x8f;
    }
    if (bytes[i] < least || bytes[i] > most) return 0;
  }
  return length;
}

/* SL-1.5 */
static size_t text_at_end(const uint8_t *bytes, size_t count) {
  size_t from = 0;
  size_t i = 0;
  while (i < count) {
    const size_t length = character_length(bytes + i, count - i);
    if (length == 0) from = i + 1;
    i += length == 0 ? 1 : length;
  }
  return from;
}

static void tell(slink *link, slink_event *event, slink_event_kind kind) {
  event->kind = kind;
  if (link->set.event != NULL) link->set.event(link->set.context, event);
}

static void tell_text(slink *link, const uint8_t *bytes, size_t count) {
  if (count > 0 && link->set.text != NULL) link->set.text(link->set.context, bytes, count);
}

static void tell_damage(slink *link, slink_damage damage) {
  slink_event event = {0};
  const size_t from = text_at_end(link->set.frame, link->frame_length);
  link->statistics.damaged[damage] += 1;
  event.damage = damage;
  event.bytes = link->set.frame;
  event.count = from;
  tell(link, &event, SLINK_ON_DAMAGED);
  tell_text(link, link->set.frame + from, link->frame_length - from);
}

/* ---- sending ---- */

static uint64_t duration_us(const slink *link, size_t bytes) {
  const uint64_t rate = link->set.bytes_per_second;
  return ((uint64_t)bytes * 1000000u + rate - 1) / rate;
}

static void write_body(slink *link, const uint8_t *body, size_t count, uint64_t now_us) {
  const size_t length = slink_encode_frame(body, count, link->set.wire);
  link->line_free_us = later(link->line_free_us, now_us) + duration_us(link, length);
  link->last_sent_us = now_us;
  link->statistics.frames_sent += 1;
  link->set.output(link->set.context, link->set.wire, length);
}

static uint8_t credit_of(const slink *link) {
  return link->room < link->set.window ? (uint8_t)link->room : link->set.window;
}

/* What is written now acknowledges all that has come. */
static void acknowledged(slink *link, uint8_t *ack, uint8_t *credit) {
  link->ack_at_us = SLINK_NEVER;
  link->unacknowledged = 0;
  *ack = link->expected;
  *credit = credit_of(link);
}

static void send_ack(slink *link, uint8_t flags, uint64_t now_us) {
  uint8_t body[4] = {ACK, 0, 0, 0};
  body[1] = flags;
  if (flags & RESEND) link->resend_due = false;
  if (flags & POLL) link->poll_at_us = now_us + POLL_US;
  acknowledged(link, &body[2], &body[3]);
  write_body(link, body, sizeof body, now_us);
}

static void send_close(slink *link, uint8_t reason, uint64_t now_us) {
  uint8_t body[6] = {CLOSE, 0, 0, 0, 0, 0};
  put32(body + 1, link->session);
  body[5] = reason;
  write_body(link, body, sizeof body, now_us);
}

static void send_refusal(slink *link, uint32_t session, slink_refusal refusal, uint64_t now_us) {
  uint8_t body[8] = {REFUSE, 0, 0, 0, 0, 0, SLINK_VERSION, SLINK_VERSION};
  put32(body + 1, session);
  body[5] = (uint8_t)refusal;
  write_body(link, body, sizeof body, now_us);
}

/* As many whole characters as fit. */
static size_t name_length(const char *name) {
  size_t length = 0;
  if (name == NULL) return 0;
  while (length < SLINK_NAME_MOST && name[length] != 0) length += 1;
  if (name[length] != 0) {
    while (length > 0 && ((uint8_t)name[length] & 0xc0) == 0x80) length -= 1;
  }
  return length;
}

static void send_hello(slink *link, uint64_t now_us) {
  uint8_t body[HELLO_BYTES + SLINK_NAME_MOST] = {HELLO, SLINK_VERSION, SLINK_VERSION};
  const size_t name = name_length(link->set.name);
  const bool is_connected = link->state == SLINK_CONNECTED;
  link->last_hello_us = now_us;
  link->hello_was_sent = true;
  if (!is_connected) {
    link->hello_at_us = now_us + hello_us[link->hellos];
    if (link->hellos < 3) link->hellos += 1;
  }
  body[3] = (uint8_t)((link->set.role == SLINK_BOARD ? 1 : 0) | (is_connected ? 0 : 2));
  put32(body + 4, link->session);
  put32(body + 8, link->peer_session);
  put16(body + 12, link->set.frame_maximum);
  body[14] = link->set.window;
  body[15] = credit_of(link);
  put32(body + 16, link->set.message_maximum);
  put32(body + 20, link->set.capabilities);
  if (name > 0) memcpy(body + HELLO_BYTES, link->set.name, name);
  write_body(link, body, HELLO_BYTES + name, now_us);
}

static uint8_t *bytes_of_slot(const slink *link, uint8_t slot) {
  return link->set.slot_bytes + (size_t)slot * link->set.frame_maximum;
}

static bool can_send_data(const slink *link) {
  return link->cursor < link->used && link->cursor < link->set.window && link->cursor < link->peer.window &&
         link->cursor < link->peer_credit;
}

static void send_data(slink *link, uint64_t now_us) {
  const uint8_t slot = link->order[link->cursor];
  slink_slot *info = &link->set.slots[slot];
  uint8_t *body = bytes_of_slot(link, slot);
  body[2] = (uint8_t)(link->oldest + link->cursor);
  acknowledged(link, &body[3], &body[4]);
  if (link->cursor == link->sent) {
    link->sent += 1;
    if (link->urgent > 0) link->urgent -= 1;
  }
  link->cursor += 1;
  if (info->transmissions > 0) link->statistics.frames_repeated += 1;
  if (info->transmissions < 2) info->transmissions += 1;
  write_body(link, body, info->length, now_us);
  info->left_us = link->line_free_us;
}

static void send_loose(slink *link, uint64_t now_us) {
  const uint8_t first = link->loose_first;
  link->loose_first = (uint8_t)((first + 1) % SLINK_LOOSE);
  link->loose_used -= 1;
  write_body(link, link->set.loose_bytes + (size_t)first * link->set.frame_maximum, link->loose_length[first],
             now_us);
}

static uint64_t retransmit_at_us(const slink *link) {
  const uint64_t frames_us = 2 * duration_us(link, SLINK_WIRE_BYTES((size_t)link->set.frame_maximum));
  const uint8_t doublings = link->timeouts < RETRANSMIT_DOUBLINGS ? link->timeouts : RETRANSMIT_DOUBLINGS;
  int64_t wait = link->is_measured ? link->smoothed_us + 4 * link->variation_us : RETRANSMIT_START_US;
  if (link->cursor == 0) return SLINK_NEVER;
  if (wait < RETRANSMIT_LEAST_US) wait = RETRANSMIT_LEAST_US;
  wait *= (int64_t)1 << doublings;
  if (wait > RETRANSMIT_MOST_US) wait = RETRANSMIT_MOST_US;
  return link->set.slots[link->order[0]].left_us + (uint64_t)wait + frames_us;
}

/* Sends what may be sent now. */
static void pump(slink *link, uint64_t now_us) {
  const bool is_stuck = link->state == SLINK_CONNECTED && link->used > 0 && link->peer_credit == 0;
  if (!is_stuck) {
    link->poll_at_us = SLINK_NEVER;
  } else if (link->poll_at_us == SLINK_NEVER) {
    link->poll_at_us = now_us + POLL_US;
  }
  while (link->state == SLINK_CONNECTED) {
    const bool is_paced = link->line_free_us > now_us + LEAD_US;
    if (link->resend_due) {
      send_ack(link, RESEND, now_us);
    } else if (!is_paced && can_send_data(link)) {
      send_data(link, now_us);
    } else if (link->ack_at_us <= now_us || link->last_sent_us + KEEP_ALIVE_US <= now_us) {
      send_ack(link, 0, now_us);
    } else if (link->poll_at_us <= now_us) {
      send_ack(link, POLL, now_us);
    } else if (!is_paced && link->loose_used > 0) {
      send_loose(link, now_us);
    } else {
      break;
    }
  }
}

/* ---- sessions (SL-4.1 to SL-4.7) ---- */

/* Forgets a session that stood, and tells; false when the listener has done something else instead. */
static bool end_session(slink *link, slink_ending ending) {
  slink_event event = {0};
  const bool was_announced = link->announced != 0;
  const uint8_t used = link->used;
  slink_state before;
  uint8_t i;
  if (link->state == SLINK_CONNECTED) link->state = SLINK_WAITING;
  link->announced = 0;
  link->peer_session = 0;
  link->hellos = 0;
  link->hello_at_us = SLINK_NEVER;
  link->used = 0;
  link->sent = 0;
  link->cursor = 0;
  link->urgent = 0;
  link->oldest = 0;
  link->peer_credit = 0;
  link->timeouts = 0;
  link->is_measured = false;
  link->poll_at_us = SLINK_NEVER;
  link->is_pinging = false;
  link->loose_first = 0;
  link->loose_used = 0;
  link->expected = 0;
  link->ahead_before = NO_GAP;
  link->resend_due = false;
  link->unacknowledged = 0;
  link->ack_at_us = SLINK_NEVER;
  link->has_part = false;
  link->part_length = 0;
  if (!was_announced) return true;
  before = link->state;
  for (i = 0; i < used && link->state == before && link->used == 0; i++) {
    const uint8_t slot = link->order[i];
    if ((bytes_of_slot(link, slot)[1] & LAST) == 0) continue;
    event.number = link->set.slots[slot].number;
    tell(link, &event, SLINK_ON_UNDELIVERED);
  }
  event.ending = ending;
  tell(link, &event, SLINK_ON_DISCONNECTED);
  return link->state == before;
}

/* The session is over, and the other end may not know: begins a new one under another number. */
static void lose(slink *link, slink_ending ending, uint64_t now_us) {
  link->session = link->set.new_session(link->set.context);
  if (end_session(link, ending) && !link->set.passive) send_hello(link, now_us);
}

static void refuse(slink *link, uint32_t session, bool by_peer, slink_refusal refusal) {
  slink_event event = {0};
  link->state = SLINK_REFUSED;
  link->refused_session = session;
  link->hello_at_us = SLINK_NEVER;
  event.by_peer = by_peer;
  event.refusal = refusal;
  tell(link, &event, SLINK_ON_REFUSED);
}

/* Why there can be no session with who says this hello; SLINK_REFUSAL_UNKNOWN: there can. */
static slink_refusal refusal_of(const slink *link, const uint8_t *body, size_t count) {
  if (body[2] > SLINK_VERSION || body[1] < SLINK_VERSION) return SLINK_REFUSAL_VERSION;
  if ((body[3] & 1) == (link->set.role == SLINK_BOARD ? 1 : 0)) return SLINK_REFUSAL_ROLE;
  if (count < HELLO_BYTES || get16(body + 12) < SLINK_FRAME_LEAST || get16(body + 12) > SLINK_FRAME_MOST ||
      body[14] < 1 || body[14] > SLINK_WINDOW_MOST || body[15] > body[14] ||
      get32(body + 16) < SLINK_FRAME_LEAST) {
    return SLINK_REFUSAL_LIMITS;
  }
  return SLINK_REFUSAL_UNKNOWN;
}

static void connect_peer(slink *link, const uint8_t *body, size_t count, uint64_t now_us) {
  size_t name = count - HELLO_BYTES;
  if (name > SLINK_NAME_MOST) name = SLINK_NAME_MOST;
  link->state = SLINK_CONNECTED;
  link->hello_at_us = SLINK_NEVER;
  link->hellos = 0;
  link->last_heard_us = now_us;
  link->peer_credit = body[15];
  link->peer.session = get32(body + 4);
  link->peer.role = (body[3] & 1) ? SLINK_BOARD : SLINK_HOST;
  link->peer.version = body[1] < SLINK_VERSION ? body[1] : SLINK_VERSION;
  link->peer.frame_maximum = get16(body + 12);
  link->peer.window = body[14];
  link->peer.message_maximum = get32(body + 16);
  link->peer.capabilities = get32(body + 20);
  memcpy(link->peer.name, body + HELLO_BYTES, name);
  link->peer.name[name] = 0;
}

static void take_hello(slink *link, const uint8_t *body, size_t count, uint64_t now_us) {
  slink_event event = {0};
  const bool reply_wanted = (body[3] & 2) != 0;
  const uint32_t session = get32(body + 4);
  const uint32_t named = get32(body + 8);
  const slink_refusal refusal = refusal_of(link, body, count);
  if (link->state == SLINK_REFUSED && session == link->refused_session) {
    if (session != link->session && reply_wanted) send_refusal(link, session, refusal, now_us);
    return;
  }
  if (refusal != SLINK_REFUSAL_UNKNOWN) {
    if (!end_session(link, SLINK_END_RESTARTED)) return;
    refuse(link, session, false, refusal);
    if (session != link->session) send_refusal(link, session, refusal, now_us);
    return;
  }
  if (session != link->peer_session) {
    if (!end_session(link, SLINK_END_RESTARTED)) return;
    link->state = SLINK_WAITING;
    link->peer_session = session;
    link->hello_at_us = now_us + hello_us[0];
  }
  if (link->state != SLINK_CONNECTED && named == link->session) connect_peer(link, body, count, now_us);
  if (link->state == SLINK_CONNECTED) link->last_heard_us = now_us;
  if (reply_wanted) send_hello(link, now_us);
  if (link->state == SLINK_CONNECTED && link->announced != session) {
    link->announced = session;
    tell(link, &event, SLINK_ON_CONNECTED);
  }
}

static void take_refusal(slink *link, const uint8_t *body) {
  const uint32_t refused = link->peer_session;
  slink_refusal refusal = SLINK_REFUSAL_UNKNOWN;
  if (get32(body + 1) != link->session || link->state == SLINK_REFUSED) return;
  if (body[5] >= SLINK_REFUSAL_VERSION && body[5] <= SLINK_REFUSAL_LIMITS) refusal = (slink_refusal)body[5];
  if (end_session(link, SLINK_END_CLOSED)) refuse(link, refused, true, refusal);
}

/* ---- receiving ---- */

static void measure(slink *link, int64_t round_trip_us) {
  int64_t error;
  if (!link->is_measured) {
    link->is_measured = true;
    link->smoothed_us = round_trip_us;
    link->variation_us = round_trip_us / 2;
    return;
  }
  error = round_trip_us - link->smoothed_us;
  link->variation_us += ((error < 0 ? -error : error) - link->variation_us) / 4;
  link->smoothed_us += error / 8;
}

static void take_ack(slink *link, uint8_t ack, uint8_t credit, uint64_t now_us) {
  slink_event event = {0};
  uint32_t delivered[SLINK_WINDOW_MOST];
  const uint8_t count = (uint8_t)(ack - link->oldest);
  uint8_t deliveries = 0;
  uint8_t freed[SLINK_WINDOW_MOST];
  const slink_slot *newest;
  uint8_t i;
  if (count > link->sent) {
    link->statistics.frames_unknown += 1;
    return;
  }
  link->peer_credit = credit;
  if (count == 0) return;
  newest = &link->set.slots[link->order[count - 1]];
  if (newest->transmissions == 1) {
    measure(link, now_us > newest->left_us ? (int64_t)(now_us - newest->left_us) : 0);
  }
  for (i = 0; i < count; i++) {
    freed[i] = link->order[i];
    if (bytes_of_slot(link, freed[i])[1] & LAST) delivered[deliveries++] = link->set.slots[freed[i]].number;
  }
  memmove(link->order, link->order + count, (size_t)link->set.slot_count - count);
  memcpy(link->order + link->set.slot_count - count, freed, count);
  link->used = (uint8_t)(link->used - count);
  link->sent = (uint8_t)(link->sent - count);
  link->cursor = link->cursor > count ? (uint8_t)(link->cursor - count) : 0;
  link->oldest = ack;
  link->timeouts = 0;
  for (i = 0; i < deliveries; i++) {
    event.number = delivered[i];
    tell(link, &event, SLINK_ON_DELIVERED);
  }
}

/* SL-4.18: whether the part continues what has come, within the limits. */
static bool part_fits(const slink *link, uint8_t flags, size_t count) {
  const bool is_first = (flags & FIRST) != 0;
  if (flags & URGENT) return is_first && (flags & LAST) != 0;
  if (is_first == link->has_part) return false;
  return count <= link->set.message_maximum - (link->has_part ? link->part_length : 0);
}

static void deliver(slink *link, uint8_t type, const uint8_t *bytes, size_t count, bool loose) {
  link->set.message_arrived(link->set.context, type, bytes, count, loose);
}

static void take_part(slink *link, const uint8_t *body, size_t count) {
  const uint8_t flags = body[1];
  const size_t head = flags & FIRST ? DATA_HEAD : DATA_HEAD - 1;
  const uint8_t *content = body + head;
  const size_t length = count - head;
  if ((flags & LAST) && link->room != SLINK_NO_LIMIT) link->room -= 1;
  if ((flags & FIRST) && (flags & LAST)) {
    deliver(link, body[5], content, length, false);
    return;
  }
  if (!link->has_part) {
    link->has_part = true;
    link->part_type = body[5];
    link->part_length = 0;
  }
  if (length > 0) memcpy(link->set.message + link->part_length, content, length);
  link->part_length += length;
  if (flags & LAST) {
    link->has_part = false;
    deliver(link, link->part_type, link->set.message, link->part_length, false);
  }
}

static void take_data(slink *link, const uint8_t *body, size_t count, uint64_t now_us) {
  const uint8_t flags = body[1];
  const size_t head = flags & FIRST ? DATA_HEAD : DATA_HEAD - 1;
  const uint8_t ahead = (uint8_t)(body[2] - link->expected);
  bool is_half;
  if (ahead >= 128) {
    link->statistics.duplicates += 1;
    link->ack_at_us = now_us;
    return;
  }
  if (ahead > 0) {
    link->statistics.frames_out_of_order += 1;
    /* Not further on than the one before: the other end has gone back, and what is missing was lost again. */
    if (ahead <= link->ahead_before) {
      link->resend_due = true;
      link->statistics.gaps_reported += 1;
    }
    link->ahead_before = ahead;
    return;
  }
  if ((flags & LAST) && link->room == 0) {
    link->statistics.frames_without_room += 1;
    link->ack_at_us = now_us;
    return;
  }
  if (!part_fits(link, flags, count - head)) {
    send_close(link, CLOSE_VIOLATION, now_us);
    lose(link, SLINK_END_VIOLATION, now_us);
    return;
  }
  link->expected += 1;
  link->ahead_before = NO_GAP;
  link->resend_due = false;
  link->unacknowledged += 1;
  is_half = link->unacknowledged * 2 >= link->set.window;
  link->ack_at_us = earlier(link->ack_at_us, now_us + (is_half ? 0 : ACK_DELAY_US));
  take_part(link, body, count);
}

static void take_pong(slink *link, const uint8_t *body, uint64_t now_us) {
  slink_event event = {0};
  if (!link->is_pinging || get32(body + 1) != link->pings) return;
  link->is_pinging = false;
  event.round_trip_us = now_us - link->ping_sent_us;
  event.peer_clock_us = (uint64_t)get32(body + 5) | (uint64_t)get32(body + 9) << 32;
  tell(link, &event, SLINK_ON_PONG);
}

static void send_pong(slink *link, const uint8_t *ping, uint64_t now_us) {
  uint8_t body[13] = {PONG};
  memcpy(body + 1, ping + 1, 4);
  put32(body + 5, (uint32_t)now_us);
  put32(body + 9, (uint32_t)(now_us >> 32));
  write_body(link, body, sizeof body, now_us);
}

/* Bytes of a body of this kind at least; 0: there is no such kind. */
static size_t least_bytes(const uint8_t *body, size_t count) {
  switch (body[0]) {
    case HELLO:
      return HELLO_HEAD;
    case REFUSE:
      return 8;
    case CLOSE:
      return 6;
    case ACK:
      return 4;
    case DATA:
      return count > 1 && (body[1] & FIRST) ? DATA_HEAD : DATA_HEAD - 1;
    case LOOSE:
      return LOOSE_HEAD;
    case PING:
      return 5;
    case PONG:
      return 13;
    default:
      return 0;
  }
}

static void take_session_frame(slink *link, const uint8_t *body, size_t count, uint64_t now_us) {
  if (link->state != SLINK_CONNECTED) {
    const bool is_soon = link->hello_was_sent && !has_passed(link->last_hello_us, HELLO_ANSWER_US, now_us);
    if (link->state == SLINK_WAITING && !is_soon) send_hello(link, now_us);
    return;
  }
  link->last_heard_us = now_us;
  switch (body[0]) {
    case ACK:
      take_ack(link, body[2], body[3], now_us);
      if (body[1] & RESEND) link->cursor = 0;
      if (body[1] & POLL) link->ack_at_us = now_us;
      break;
    case DATA:
      take_ack(link, body[3], body[4], now_us);
      if (link->state == SLINK_CONNECTED) take_data(link, body, count, now_us);
      break;
    case LOOSE:
      deliver(link, body[1], body + LOOSE_HEAD, count - LOOSE_HEAD, true);
      break;
    case PING:
      send_pong(link, body, now_us);
      break;
    default:
      take_pong(link, body, now_us);
  }
}

static void take_frame(slink *link, const uint8_t *body, size_t count, uint64_t now_us) {
  const size_t least = least_bytes(body, count);
  if (least == 0 || count < least || (body[0] == HELLO && get32(body + 4) == 0)) {
    link->statistics.frames_unknown += 1;
    return;
  }
  if (link->state == SLINK_NEW || link->state == SLINK_CLOSED) return;
  switch (body[0]) {
    case HELLO:
      take_hello(link, body, count, now_us);
      break;
    case REFUSE:
      take_refusal(link, body);
      break;
    case CLOSE:
      if (link->state == SLINK_CONNECTED && get32(body + 1) == link->peer_session) {
        end_session(link, body[5] == CLOSE_VIOLATION ? SLINK_END_VIOLATION : SLINK_END_CLOSED);
      }
      break;
    default:
      take_session_frame(link, body, count, now_us);
  }
}

static void end_frame(slink *link, uint64_t now_us) {
  uint8_t *frame = link->set.frame;
  const uint8_t marker = MARKER;
  uint8_t check[CHECK_BYTES];
  size_t stuffed;
  size_t length;
  if (link->frame_length < CHECK_BYTES + 2) {
    tell_damage(link, SLINK_TOO_SHORT);
    return;
  }
  stuffed = link->frame_length - CHECK_BYTES;
  write_check(check, slink_crc32(slink_crc32(0, &marker, 1), frame, stuffed));
  if (memcmp(check, frame + stuffed, CHECK_BYTES) != 0) {
    tell_damage(link, SLINK_BAD_CHECK);
    return;
  }
  if (!unstuffed_length(frame, stuffed, &length)) {
    tell_damage(link, SLINK_BAD_STUFFING);
    return;
  }
  if (length > link->set.frame_maximum) {
    tell_damage(link, SLINK_TOO_LONG);
    return;
  }
  slink_unstuff(frame, stuffed, frame, &length);
  link->statistics.frames_received += 1;
  take_frame(link, frame, length, now_us);
}

static bool is_waiting(const slink *link) {
  return link->reading == SLINK_IN_FRAME || link->reading == SLINK_IN_ZERO;
}

static const uint8_t a_zero = 0;

/* SL-1.6 */
static void give_up(slink *link, uint64_t now_us) {
  if (!is_waiting(link) || !has_passed(link->last_byte_us, FRAME_GAP_US, now_us)) return;
  if (link->reading == SLINK_IN_FRAME) {
    tell_damage(link, SLINK_UNFINISHED);
  } else {
    tell_text(link, &a_zero, 1);
  }
  link->reading = SLINK_IN_TEXT;
}

void slink_receive(slink *link, const uint8_t *bytes, size_t count, uint64_t now_us) {
  const size_t capacity = SLINK_FRAME_BYTES((size_t)link->set.frame_maximum);
  size_t text_from = 0;
  size_t text_to = 0;
  size_t i;
  give_up(link, now_us);
  link->last_byte_us = now_us;
  for (i = 0; i < count; i++) {
    const uint8_t byte = bytes[i];
    if (link->reading == SLINK_IN_FRAME) {
      if (byte == 0) {
        link->reading = SLINK_IN_CLOSED;
        end_frame(link, now_us);
        continue;
      }
      if (link->frame_length < capacity) {
        link->set.frame[link->frame_length++] = byte;
        continue;
      }
      tell_damage(link, SLINK_TOO_LONG);
      link->reading = SLINK_IN_TEXT;
    }
    if (link->reading != SLINK_IN_TEXT && byte == MARKER) {
      link->reading = SLINK_IN_FRAME;
      link->frame_length = 0;
      continue;
    }
    if (link->reading == SLINK_IN_ZERO) tell_text(link, &a_zero, 1);
    if (byte == 0) {
      tell_text(link, bytes + text_from, text_to - text_from);
      text_from = text_to = 0;
      link->reading = SLINK_IN_ZERO;
      continue;
    }
    link->reading = SLINK_IN_TEXT;
    if (text_from == text_to) text_from = i;
    text_to = i + 1;
  }
  tell_text(link, bytes + text_from, text_to - text_from);
  pump(link, now_us);
}

/* ---- what the caller does ---- */

slink_result slink_init(slink *link, const slink_settings *settings) {
  const slink_settings *s = settings;
  uint8_t i;
  if (s->bytes_per_second < 1 || s->frame_maximum < SLINK_FRAME_LEAST || s->frame_maximum > SLINK_FRAME_MOST ||
      s->window < 1 || s->window > SLINK_WINDOW_MOST || s->message_maximum < SLINK_FRAME_LEAST ||
      s->slot_count < 1 || s->slot_count > SLINK_SLOTS_MOST || s->wire == NULL || s->frame == NULL ||
      s->message == NULL || s->slots == NULL || s->slot_bytes == NULL || s->new_session == NULL ||
      s->output == NULL || s->message_arrived == NULL) {
    return SLINK_ERROR_SETTING;
  }
  memset(link, 0, sizeof *link);
  link->set = *s;
  link->reading = SLINK_IN_TEXT;
  link->state = SLINK_NEW;
  link->room = s->room;
  link->next_number = 1;
  for (i = 0; i < s->slot_count; i++) link->order[i] = i;
  end_session(link, SLINK_END_CLOSED);
  return SLINK_OK;
}

void slink_start(slink *link, uint64_t now_us) {
  end_session(link, SLINK_END_CLOSED);
  link->state = SLINK_WAITING;
  link->session = link->set.new_session(link->set.context);
  link->refused_session = 0;
  link->line_free_us = now_us;
  if (!link->set.passive) send_hello(link, now_us);
}

void slink_close(slink *link, uint64_t now_us) {
  if (link->state == SLINK_CONNECTED) send_close(link, CLOSE_FINISHED, now_us);
  end_session(link, SLINK_END_CLOSED);
  link->state = SLINK_CLOSED;
}

uint64_t slink_next_deadline_us(const slink *link) {
  uint64_t next = link->hello_at_us;
  if (is_waiting(link)) next = earlier(next, link->last_byte_us + FRAME_GAP_US);
  if (link->state != SLINK_CONNECTED) return next;
  next = earlier(next, link->ack_at_us);
  next = earlier(next, link->poll_at_us);
  next = earlier(next, link->last_sent_us + KEEP_ALIVE_US);
  next = earlier(next, link->last_heard_us + SILENCE_US);
  next = earlier(next, retransmit_at_us(link));
  if (can_send_data(link) || link->loose_used > 0) {
    next = earlier(next, link->line_free_us > LEAD_US ? link->line_free_us - LEAD_US : 0);
  }
  return next;
}

void slink_due(slink *link, uint64_t now_us) {
  give_up(link, now_us);
  if (link->hello_at_us <= now_us) send_hello(link, now_us);
  if (link->state == SLINK_CONNECTED) {
    if (has_passed(link->last_heard_us, SILENCE_US, now_us)) {
      lose(link, SLINK_END_SILENT, now_us);
    } else if (retransmit_at_us(link) <= now_us) {
      link->statistics.timeouts += 1;
      link->timeouts += 1;
      link->cursor = 0;
      if (link->timeouts > RETRANSMIT_TIMES) lose(link, SLINK_END_UNACKNOWLEDGED, now_us);
    }
  }
  pump(link, now_us);
}

static bool is_urgent(uint8_t type) { return type == SLINK_KEY || type == SLINK_LOG_LEVEL; }

/* SL-5: who sends it, and what the other end must have announced. */
static slink_result check_type(const slink *link, uint8_t type) {
  const bool to_board = link->set.role == SLINK_HOST;
  uint32_t needs = 0;
  switch (type) {
    case SLINK_SERVER_EVENT:
    case SLINK_SERVER_OPENED:
      if (!to_board) return SLINK_ERROR_DIRECTION;
      break;
    case SLINK_MICROPHONE:
      if (!to_board) return SLINK_ERROR_DIRECTION;
      needs = SLINK_CAN_INJECT_MICROPHONE;
      break;
    case SLINK_LOG_LEVEL:
      if (!to_board) return SLINK_ERROR_DIRECTION;
      needs = SLINK_CAN_LOG_LEVEL;
      break;
    case SLINK_KEY:
      if (to_board) needs = SLINK_CAN_KEYS;
      break;
    case SLINK_SERVER_CLOSE:
      break;
    default:
      if (to_board) return SLINK_ERROR_DIRECTION;
  }
  return (link->peer.capabilities & needs) == needs ? SLINK_OK : SLINK_ERROR_NOT_OFFERED;
}

static size_t frame_bytes(const slink *link) {
  return link->peer.frame_maximum < link->set.frame_maximum ? link->peer.frame_maximum : link->set.frame_maximum;
}

/* The place of a new data frame: urgent ones stand before the ordinary ones that were not sent yet. */
static uint8_t *new_slot(slink *link, uint8_t flags, uint32_t number, size_t length) {
  const uint8_t slot = link->order[link->used];
  uint8_t at = link->used;
  slink_slot *info = &link->set.slots[slot];
  uint8_t *body = bytes_of_slot(link, slot);
  if (flags & URGENT) {
    at = (uint8_t)(link->sent + link->urgent);
    memmove(link->order + at + 1, link->order + at, (size_t)link->used - at);
    link->order[at] = slot;
    link->urgent += 1;
  }
  link->used += 1;
  info->number = number;
  info->left_us = 0;
  info->transmissions = 0;
  info->length = (uint16_t)length;
  memset(body, 0, DATA_HEAD);
  body[0] = DATA;
  body[1] = flags;
  return body;
}

slink_result slink_send(slink *link, uint8_t type, const uint8_t *bytes, size_t count, uint64_t now_us,
                        uint32_t *number) {
  const bool urgent = is_urgent(type);
  slink_result result;
  size_t frame;
  size_t parts;
  size_t at = 0;
  if (link->state != SLINK_CONNECTED) return SLINK_ERROR_NOT_CONNECTED;
  result = check_type(link, type);
  if (result != SLINK_OK) return result;
  frame = frame_bytes(link);
  if (count > (urgent ? frame - DATA_HEAD : link->peer.message_maximum)) return SLINK_ERROR_TOO_LONG;
  parts = count <= frame - DATA_HEAD ? 1 : 1 + (count - (frame - DATA_HEAD) + frame - DATA_HEAD) / (frame - DATA_HEAD + 1);
  if (parts > link->set.slot_count) return SLINK_ERROR_TOO_LONG;
  if (parts > (size_t)(link->set.slot_count - link->used)) return SLINK_ERROR_BUSY;
  do {
    const bool first = at == 0;
    const size_t head = first ? DATA_HEAD : DATA_HEAD - 1;
    const size_t length = count - at < frame - head ? count - at : frame - head;
    const bool last = at + length == count;
    const uint8_t flags = (uint8_t)((first ? FIRST : 0) | (last ? LAST : 0) | (urgent ? URGENT : 0));
    uint8_t *body = new_slot(link, flags, link->next_number, head + length);
    if (first) body[5] = type;
    if (length > 0) memcpy(body + head, bytes + at, length);
    at += length;
  } while (at < count);
  if (number != NULL) *number = link->next_number;
  link->next_number += 1;
  pump(link, now_us);
  return SLINK_OK;
}

slink_result slink_send_loose(slink *link, uint8_t type, const uint8_t *bytes, size_t count, uint64_t now_us) {
  uint8_t place;
  uint8_t *body;
  if (link->state != SLINK_CONNECTED) return SLINK_ERROR_NOT_CONNECTED;
  if (type != SLINK_SPEAKER || link->set.role != SLINK_BOARD || link->set.loose_bytes == NULL) {
    return SLINK_ERROR_DIRECTION;
  }
  if (count > frame_bytes(link) - LOOSE_HEAD) return SLINK_ERROR_TOO_LONG;
  if (link->loose_used == SLINK_LOOSE) {
    link->loose_first = (uint8_t)((link->loose_first + 1) % SLINK_LOOSE);
    link->loose_used -= 1;
    link->statistics.loose_dropped += 1;
  }
  place = (uint8_t)((link->loose_first + link->loose_used) % SLINK_LOOSE);
  body = link->set.loose_bytes + (size_t)place * link->set.frame_maximum;
  body[0] = LOOSE;
  body[1] = type;
  if (count > 0) memcpy(body + LOOSE_HEAD, bytes, count);
  link->loose_length[place] = (uint16_t)(LOOSE_HEAD + count);
  link->loose_used += 1;
  link->next_number += 1;
  pump(link, now_us);
  return SLINK_OK;
}

slink_result slink_ping(slink *link, uint64_t now_us) {
  uint8_t body[5] = {PING, 0, 0, 0, 0};
  if (link->state != SLINK_CONNECTED) return SLINK_ERROR_NOT_CONNECTED;
  link->pings += 1;
  link->is_pinging = true;
  link->ping_sent_us = now_us;
  put32(body + 1, link->pings);
  write_body(link, body, sizeof body, now_us);
  return SLINK_OK;
}

void slink_grant(slink *link, uint32_t messages, uint64_t now_us) {
  const bool had_none = credit_of(link) == 0;
  if (link->room != SLINK_NO_LIMIT) {
    const uint32_t left = SLINK_NO_LIMIT - 1 - link->room;
    link->room += messages < left ? messages : left;
  }
  if (had_none && credit_of(link) > 0) link->ack_at_us = now_us;
  pump(link, now_us);
}

void slink_text_written(slink *link, size_t count, uint64_t now_us) {
  link->line_free_us = later(link->line_free_us, now_us) + duration_us(link, count);
}

slink_state slink_state_of(const slink *link) { return link->state; }

const slink_peer *slink_peer_of(const slink *link) {
  return link->state == SLINK_CONNECTED ? &link->peer : NULL;
}

/* ---- IMA ADPCM (SL-5.4) ---- */

static const int16_t steps[89] = {
    7,     8,     9,     10,    11,    12,    13,    14,    16,    17,    19,    21,    23,    25,    28,
    31,    34,    37,    41,    45,    50,    55,    60,    66,    73,    80,    88,    97,    107,   118,
    130,   143,   157,   173,   190,   209,   230,   253,   279,   307,   337,   371,   408,   449,   494,
    544,   598,   658,   724,   796,   876,   963,   1060,  1166,  1282,  1411,  1552,  1707,  1878,  2066,
    2272,  2499,  2749,  3024,  3327,  3660,  4026,  4428,  4871,  5358,  5894,  6484,  7132,  7845,  8630,
    9493,  10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767};

static int32_t follow(int32_t predicted, uint8_t nibble, uint8_t *index) {
  static const int8_t changes[8] = {-1, -1, -1, -1, 2, 4, 6, 8};
  const int32_t step = steps[*index];
  int32_t difference = step >> 3;
  int next = *index + changes[nibble & 7];
  if (nibble & 4) difference += step;
  if (nibble & 2) difference += step >> 1;
  if (nibble & 1) difference += step >> 2;
  *index = (uint8_t)(next < 0 ? 0 : next > 88 ? 88 : next);
  predicted += nibble & 8 ? -difference : difference;
  return predicted < -32768 ? -32768 : predicted > 32767 ? 32767 : predicted;
}

static uint8_t nibble_of(int32_t difference, int32_t step) {
  uint8_t nibble = difference < 0 ? 8 : 0;
  int32_t left = difference < 0 ? -difference : difference;
  if (left >= step) {
    nibble |= 4;
    left -= step;
  }
  if (left >= step >> 1) {
    nibble |= 2;
    left -= step >> 1;
  }
  return left >= step >> 2 ? nibble | 1 : nibble;
}

size_t slink_adpcm_encode(const int16_t *samples, size_t count, uint8_t *index, uint8_t *block) {
  int32_t predicted;
  size_t i;
  if (count == 0) return 0;
  predicted = samples[0];
  put16(block, (uint16_t)samples[0]);
  block[2] = *index;
  block[3] = count % 2 == 0 ? 1 : 0;
  for (i = 1; i < count; i++) {
    uint8_t *byte = &block[4 + (i - 1) / 2];
    const uint8_t nibble = nibble_of(samples[i] - predicted, steps[*index]);
    predicted = follow(predicted, nibble, index);
    *byte = i % 2 == 1 ? nibble : (uint8_t)(*byte | nibble << 4);
  }
  return 4 + count / 2;
}

bool slink_adpcm_decode(const uint8_t *block, size_t bytes, int16_t *samples, size_t most, size_t *count) {
  int32_t predicted;
  uint8_t index;
  size_t length;
  size_t i;
  *count = 0;
  if (bytes == 0) return true;
  if (bytes < 4 || block[2] > 88 || ((block[3] & 1) && bytes == 4)) return false;
  length = 1 + 2 * (bytes - 4) - (block[3] & 1u);
  if (length > most) return false;
  predicted = get16(block) < 0x8000 ? (int32_t)get16(block) : (int32_t)get16(block) - 0x10000;
  index = block[2];
  samples[0] = (int16_t)predicted;
  for (i = 1; i < length; i++) {
    const uint8_t byte = block[4 + (i - 1) / 2];
    predicted = follow(predicted, i % 2 == 1 ? byte & 15 : byte >> 4, &index);
    samples[i] = (int16_t)predicted;
  }
  *count = length;
  return true;
}

/*
 * The C reference at the other end of a pipe, for tests: reads a command in each line, drives one end with the
 * instants it is told, and answers with what the end has written and told. Bytes are hexadecimal, `-` for none.
 *
 *   crc HEX | stuff HEX | unstuff HEX | frame HEX | adpcm-encode HEX | adpcm-decode HEX
 *   new ROLE SESSION RATE FRAME WINDOW MESSAGE ROOM PASSIVE CAPABILITIES SLOTS
 *   start T | due T | close T | ping T | receive T HEX | send T TYPE HEX | loose T TYPE HEX | grant T N |
 *   written T N | counts
 *
 * Each answer is any number of lines `out HEX` and `event …` or one line `= …`, and then
 * `ok RESULT DEADLINE NUMBER`. A command that takes longer than COMMAND_SECONDS ends the program, because whoever waits
 * for the answer does nothing else.
 */
#define _POSIX_C_SOURCE 200809L

#include "serial-link.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE = 300000, BYTES = 140000, COMMAND_SECONDS = 60 };

static slink end;
/* Of just the sizes that the header asks for, so that a sanitizer sees a byte beyond them. */
static uint8_t *wire;
static uint8_t *frame;
static uint8_t *message;
static slink_slot *slots;
static uint8_t *slot_bytes;
static uint8_t *loose_bytes;
static uint32_t next_session;
static uint32_t undelivered[SLINK_SLOTS_MOST];
static size_t undelivered_count;

static char line[LINE];
static uint8_t given[BYTES];
static uint8_t made[BYTES + BYTES / 8];

static void print_hex(const uint8_t *bytes, size_t count) {
  static const char digits[] = "0123456789abcdef";
  size_t i;
  for (i = 0; i < count; i++) {
    putchar(digits[bytes[i] >> 4]);
    putchar(digits[bytes[i] & 15]);
  }
}

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static size_t read_hex(const char *text, uint8_t *bytes) {
  size_t count = 0;
  while (count < BYTES && digit(text[0]) >= 0 && digit(text[1]) >= 0) {
    bytes[count++] = (uint8_t)(digit(text[0]) * 16 + digit(text[1]));
    text += 2;
  }
  return count;
}

static uint32_t new_session(void *context) {
  (void)context;
  return next_session++;
}

static void output(void *context, const uint8_t *bytes, size_t count) {
  (void)context;
  printf("out ");
  print_hex(bytes, count);
  putchar('\n');
}

static void message_arrived(void *context, uint8_t type, const uint8_t *bytes, size_t count, bool loose) {
  (void)context;
  printf("event %s %u ", loose ? "loose" : "message", type);
  print_hex(bytes, count);
  putchar('\n');
}

static void text(void *context, const uint8_t *bytes, size_t count) {
  (void)context;
  printf("event text ");
  print_hex(bytes, count);
  putchar('\n');
}

static int by_value(const void *one, const void *other) {
  const uint32_t a = *(const uint32_t *)one;
  const uint32_t b = *(const uint32_t *)other;
  return (a > b) - (a < b);
}

static void tell(void *context, const slink_event *event) {
  static const char *const endings[] = {"restarted", "silent", "unacknowledged", "closed", "violation"};
  static const char *const refusals[] = {"null", "version", "role", "limits"};
  static const char *const damages[] = {"too-short", "too-long", "check", "stuffing", "unfinished"};
  size_t i;
  (void)context;
  switch (event->kind) {
    case SLINK_ON_CONNECTED:
      printf("event connected %" PRIu32 "\n", slink_peer_of(&end)->session);
      break;
    case SLINK_ON_UNDELIVERED:
      undelivered[undelivered_count++] = event->number;
      break;
    case SLINK_ON_DISCONNECTED:
      printf("event disconnected %s", endings[event->ending]);
      qsort(undelivered, undelivered_count, sizeof undelivered[0], by_value);
      for (i = 0; i < undelivered_count; i++) printf(" %" PRIu32, undelivered[i]);
      undelivered_count = 0;
      putchar('\n');
      break;
    case SLINK_ON_REFUSED:
      printf("event refused %s %s\n", event->by_peer ? "peer" : "us", refusals[event->refusal]);
      break;
    case SLINK_ON_DELIVERED:
      printf("event delivered %" PRIu32 "\n", event->number);
      break;
    case SLINK_ON_PONG:
      printf("event pong %" PRIu64 " %" PRIu64 "\n", event->round_trip_us, event->peer_clock_us);
      break;
    case SLINK_ON_DAMAGED:
      printf("event damaged %s ", damages[event->damage]);
      print_hex(event->bytes, event->count);
      putchar('\n');
      break;
  }
}

/* The next number of the line, and what is behind it. */
static uint64_t number(char **rest) { return strtoull(*rest, rest, 10); }

static const char *behind(char *rest) { return *rest == ' ' ? rest + 1 : rest; }

static void *renew(void *memory, size_t bytes) {
  free(memory);
  memory = malloc(bytes);
  if (memory == NULL) exit(1);
  return memory;
}

static slink_result make(char *rest) {
  slink_settings set;
  memset(&set, 0, sizeof set);
  set.role = number(&rest) == 1 ? SLINK_BOARD : SLINK_HOST;
  next_session = (uint32_t)number(&rest);
  set.bytes_per_second = (uint32_t)number(&rest);
  set.frame_maximum = (uint16_t)number(&rest);
  set.window = (uint8_t)number(&rest);
  set.message_maximum = (uint32_t)number(&rest);
  set.room = (uint32_t)number(&rest);
  set.passive = number(&rest) == 1;
  set.capabilities = (uint32_t)number(&rest);
  set.slot_count = (uint8_t)number(&rest);
  wire = renew(wire, SLINK_WIRE_BYTES((size_t)set.frame_maximum));
  frame = renew(frame, SLINK_FRAME_BYTES((size_t)set.frame_maximum));
  message = renew(message, set.message_maximum);
  slots = renew(slots, set.slot_count * sizeof slots[0]);
  slot_bytes = renew(slot_bytes, (size_t)set.slot_count * set.frame_maximum);
  loose_bytes = renew(loose_bytes, SLINK_LOOSE * (size_t)set.frame_maximum);
  set.wire = wire;
  set.frame = frame;
  set.message = message;
  set.slots = slots;
  set.slot_bytes = slot_bytes;
  set.loose_bytes = loose_bytes;
  set.new_session = new_session;
  set.output = output;
  set.message_arrived = message_arrived;
  set.text = text;
  set.event = tell;
  return slink_init(&end, &set);
}

/* Commands about one end; false: there is no such command. */
static bool drive(const char *command, char *rest, slink_result *result, uint32_t *sent) {
  const uint64_t now = number(&rest);
  if (strcmp(command, "start") == 0) {
    slink_start(&end, now);
  } else if (strcmp(command, "due") == 0) {
    slink_due(&end, now);
  } else if (strcmp(command, "close") == 0) {
    slink_close(&end, now);
  } else if (strcmp(command, "ping") == 0) {
    *result = slink_ping(&end, now);
  } else if (strcmp(command, "grant") == 0) {
    slink_grant(&end, (uint32_t)number(&rest), now);
  } else if (strcmp(command, "written") == 0) {
    slink_text_written(&end, (size_t)number(&rest), now);
  } else if (strcmp(command, "receive") == 0) {
    /* In memory of just this size, so that a sanitizer sees a read beyond it. */
    const size_t count = read_hex(behind(rest), given);
    uint8_t *bytes = malloc(count == 0 ? 1 : count);
    if (bytes == NULL) exit(1);
    memcpy(bytes, given, count);
    slink_receive(&end, bytes, count, now);
    free(bytes);
  } else if (strcmp(command, "send") == 0 || strcmp(command, "loose") == 0) {
    const uint8_t type = (uint8_t)number(&rest);
    const size_t count = read_hex(behind(rest), given);
    *result = command[0] == 's' ? slink_send(&end, type, given, count, now, sent)
                                : slink_send_loose(&end, type, given, count, now);
  } else {
    return false;
  }
  return true;
}

/* Commands about bytes alone; false: there is no such command. */
static bool convert(const char *command, const char *hex) {
  const size_t count = read_hex(hex, given);
  size_t length = 0;
  size_t i;
  if (strcmp(command, "crc") == 0) {
    printf("= %08" PRIx32 "\n", slink_crc32(slink_crc32(0, given, count / 2), given + count / 2, count - count / 2));
    return true;
  }
  printf("= ");
  if (strcmp(command, "stuff") == 0) {
    print_hex(made, slink_stuff(given, count, made));
  } else if (strcmp(command, "unstuff") == 0) {
    if (slink_unstuff(given, count, given, &length)) print_hex(given, length);
    else printf("none");
  } else if (strcmp(command, "frame") == 0) {
    print_hex(made, slink_encode_frame(given, count, made));
  } else if (strcmp(command, "adpcm-encode") == 0) {
    static int16_t samples[BYTES / 2];
    uint8_t index = 0;
    for (i = 0; i + 1 < count; i += 2) {
      const int value = given[i] | given[i + 1] << 8;
      samples[i / 2] = (int16_t)(value < 0x8000 ? value : value - 0x10000);
    }
    print_hex(made, slink_adpcm_encode(samples, count / 2, &index, made));
  } else if (strcmp(command, "adpcm-decode") == 0) {
    static int16_t samples[2 * BYTES];
    if (!slink_adpcm_decode(given, count, samples, 2 * BYTES, &length)) printf("none");
    for (i = 0; i < length; i++) printf("%s%d", i == 0 ? "" : " ", samples[i]);
  } else {
    printf("unknown command %s", command);
  }
  putchar('\n');
  return true;
}

int main(void) {
  setvbuf(stdout, NULL, _IOFBF, 1 << 16);
  while (fgets(line, LINE, stdin) != NULL) {
    slink_result result = SLINK_OK;
    uint32_t sent = 0;
    char *rest = strchr(line, ' ');
    alarm(COMMAND_SECONDS);
    line[strcspn(line, "\n")] = 0;
    if (rest == NULL) {
      const slink_statistics *s = &end.statistics;
      printf("= %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 "\n", s->frames_received, s->frames_unknown,
             s->frames_sent, s->frames_repeated);
    } else {
      *rest++ = 0;
      if (strcmp(line, "new") == 0) result = make(rest);
      else if (!drive(line, rest, &result, &sent)) convert(line, rest);
    }
    printf("ok %d ", (int)result);
    if (end.set.output == NULL || slink_next_deadline_us(&end) == SLINK_NEVER) printf("never");
    else printf("%" PRIu64, slink_next_deadline_us(&end));
    printf(" %" PRIu32 "\n", sent);
    fflush(stdout);
    alarm(0);
  }
  free(wire);
  free(frame);
  free(message);
  free(slots);
  free(slot_bytes);
  free(loose_bytes);
  return 0;
}

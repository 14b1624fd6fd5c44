/*
 * A board on standard input and output, in real time: an example for firmware authors and the other end of tests over
 * a pipe or a pseudo-terminal. It prints a console line for each message and answers
 *
 *   server-event  with a client-command that holds its length and CRC,
 *   microphone    with the same samples as upload-audio,
 *   key           with the state of the board,
 *
 * and ends when the host closes the session or its input ends, or when nothing has arrived for SILENT_SECONDS.
 */
#define _POSIX_C_SOURCE 200809L

#include "serial-link.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = SLINK_FRAME_RECOMMENDED, SLOTS = 64, MESSAGE = 65536, SILENT_SECONDS = 60 };

static slink board;
static uint8_t wire[SLINK_WIRE_BYTES(FRAME)];
static uint8_t frame[SLINK_FRAME_BYTES(FRAME)];
static uint8_t message[MESSAGE];
static slink_slot slots[SLOTS];
static uint8_t slot_bytes[SLOTS * FRAME];
static bool is_over;

static uint64_t now_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

/* On a microcontroller: the one place where bytes go to the UART, under the lock of the console. */
static void put(const uint8_t *bytes, size_t count) {
  while (count > 0) {
    const ssize_t written = write(STDOUT_FILENO, bytes, count);
    if (written < 0 && errno != EINTR && errno != EAGAIN) exit(1);
    if (written > 0) {
      bytes += written;
      count -= (size_t)written;
    }
  }
}

static void log_line(const char *what, unsigned long value) {
  char line[120];
  const int length =
      snprintf(line, sizeof line, "I (%" PRIu64 ") peer: %s %lu\r\n", now_us() / 1000u, what, value);
  put((const uint8_t *)line, (size_t)length);
  slink_text_written(&board, (size_t)length, now_us());
}

static uint32_t new_session(void *context) {
  (void)context;
  return (uint32_t)now_us() | 1u;
}

static void output(void *context, const uint8_t *bytes, size_t count) {
  (void)context;
  put(bytes, count);
}

static void send(uint8_t type, const uint8_t *bytes, size_t count) {
  const slink_result result = slink_send(&board, type, bytes, count, now_us(), NULL);
  if (result != SLINK_OK) log_line("could not send:", (unsigned long)result);
}

static void message_arrived(void *context, uint8_t type, const uint8_t *bytes, size_t count, bool loose) {
  (void)context;
  (void)loose;
  log_line("message of type", type);
  if (type == SLINK_SERVER_EVENT) {
    char command[96];
    const int length = snprintf(command, sizeof command, "{\"event\":\"Text\",\"input\":\"%lu %08" PRIx32 "\"}",
                                (unsigned long)count, slink_crc32(0, bytes, count));
    send(SLINK_CLIENT_COMMAND, (const uint8_t *)command, (size_t)length);
  } else if (type == SLINK_MICROPHONE && count > 5) {
    send(SLINK_UPLOAD_AUDIO, bytes + 5, count - 5);
  } else if (type == SLINK_KEY) {
    const uint8_t state[10] = {1, 3};
    send(SLINK_BOARD_STATE, state, sizeof state);
  }
}

static void tell(void *context, const slink_event *event) {
  (void)context;
  if (event->kind == SLINK_ON_CONNECTED) log_line("connected, window", slink_peer_of(&board)->window);
  if (event->kind == SLINK_ON_DISCONNECTED && event->ending == SLINK_END_CLOSED) is_over = true;
}

/* Milliseconds until the deadline, rounded up; -1: none. */
static int wait_ms(void) {
  const uint64_t next = slink_next_deadline_us(&board);
  const uint64_t now = now_us();
  if (next == SLINK_NEVER) return -1;
  return next <= now ? 0 : (int)((next - now + 999u) / 1000u);
}

int main(int count, char **arguments) {
  slink_settings set;
  memset(&set, 0, sizeof set);
  set.role = SLINK_BOARD;
  set.passive = true;
  set.bytes_per_second = count > 1 ? (uint32_t)strtoul(arguments[1], NULL, 10) : 11520u;
  set.frame_maximum = FRAME;
  set.window = 8;
  set.message_maximum = MESSAGE;
  set.room = SLINK_NO_LIMIT;
  set.capabilities = SLINK_CAN_INJECT_MICROPHONE | SLINK_CAN_KEYS;
  set.name = "peer.c";
  set.wire = wire;
  set.frame = frame;
  set.message = message;
  set.slot_count = SLOTS;
  set.slots = slots;
  set.slot_bytes = slot_bytes;
  set.new_session = new_session;
  set.output = output;
  set.message_arrived = message_arrived;
  set.event = tell;
  if (slink_init(&board, &set) != SLINK_OK) return 1;
  slink_start(&board, now_us());
  alarm(SILENT_SECONDS);
  while (!is_over) {
    struct pollfd input = {STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&input, 1, wait_ms());
    if (ready > 0) {
      uint8_t bytes[512];
      const ssize_t length = read(STDIN_FILENO, bytes, sizeof bytes);
      if (length == 0 || (length < 0 && errno != EINTR && errno != EAGAIN)) break;
      if (length > 0) {
        alarm(SILENT_SECONDS);
        slink_receive(&board, bytes, (size_t)length, now_us());
      }
    }
    slink_due(&board, now_us());
  }
  return 0;
}

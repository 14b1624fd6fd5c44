/**
 * Every line that the EchoKit device protocol reference lists (section 8), in its order, and boots as they were
 * published by people with an ESP32-S3: what each is told as, and that none of them is unexpected.
 */
import test from 'ava';
import { boardTags } from '../../firmware-protocol/console-forms.ts';
import { SimulatedClock } from '../clock/simulated-clock.ts';
import { ConsoleReader, type ReadLine } from './console-reader.ts';
import type { StoryEvent } from './story-event.ts';

function read(lines: readonly string[], baud = 115_200) {
  const clock = new SimulatedClock();
  const shown: ReadLine[] = [];
  const story: StoryEvent[] = [];
  const reader = new ConsoleReader({
    clock,
    baud,
    onLine: (line) => shown.push(line),
    onStory: (event) => story.push(event),
  });
  reader.push(Buffer.from(lines.map((line) => `${line}\r\n`).join('')), 0);
  reader.close();
  return { shown, story, reader };
}

/** Section 8.3: the ROM, the boot loader and ESP-IDF. Left the name of the event, right the line. */
const bootTable = `
rom                   ESP-ROM:esp32s3-20210327
rom-build             Build:Mar 27 2021
reset                 rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)
reset                 rst:0x15 (USB_UART_CHIP_RESET),boot:0x0 (DOWNLOAD(USB/UART0))
waiting-for-download  waiting for download
saved-pc              Saved PC:0x40378ca5
entry                 entry 0x403c8928
bootloader            I (27) boot: ESP-IDF v5.4.1-dirty 2nd stage bootloader
app-loaded            I (172) boot: Loaded app from partition at offset 0x10000
octal-psram           I (183) octal_psram: vendor id    : 0x0d (AP)
psram-found           I (223) esp_psram: Found 8MB PSRAM device
psram-tested          I (664) esp_psram: SPI SRAM memory test OK
app-start             I (230) cpu_start: Multicore app
app-project           I (676) app_init: Project name:     echokit
app-version           I (680) app_init: App version:      0.3.2
app-elf               I (689) app_init: ELF file SHA256:  5f2a9c01d...
app-idf               I (693) app_init: ESP-IDF:          v5.4.1
app-main              I (795) main_task: Calling app_main()
`;

/** Section 8.4. `board` is the module of whichever board it is. */
const firmwareTable = `
default-url-none       I echokit          DEFAULT_SERVER_URL: None
default-url            I echokit          DEFAULT_SERVER_URL: Some("ws://192.0.2.1:8080/ws/")
ssid                   I echokit          SSID: "kitchen"
password               I echokit          PASS: "tulip"
server-url             I echokit          Server URL: "ws://192.0.2.1:8080/ws/"
heap-spiram            I echokit          Free SPIRAM heap size: 7800KB
heap-internal          I echokit          Free INTERNAL heap size: 190KB
panel-io               I board            Install panel IO
lcd-driver             I board            Install LCD driver
lcd-reset              I board            Reset LCD panel
i2c-started            I echokit::boards  Starting I2C worker thread in core Core1
nfc-ready              I echokit::boards  MFRC522 initialized successfully
nfc-card               I echokit::boards  Card UID: [4, 162, 17]
nfc-record             I echokit::boards  NDEF Text Record: ws://192.0.2.1/ws/
nfc-url                I echokit          Received ServerUrl event: ws://192.0.2.1/ws/
wifi-connecting        I echokit::network Connecting wifi...
wifi-dhcp              I echokit::network Waiting for DHCP lease...
wifi-info              I echokit::network Wifi DHCP info: IpInfo { ip: 192.0.2.7, subnet: Subnet { gateway: 192.0.2.1, mask: Mask(24) }, dns: None }
wifi-ip                I esp_netif_handlers sta ip: 192.0.2.7, mask: 255.255.255.0, gw: 192.0.2.1
server-unreachable     I echokit          Failed to connect to server: Some(Connection refused)
audio-started          I board            Starting audio worker thread in core Core0
audio-started          I board            Starting audio worker thread in core Core1
afe-config             I echokit::audio   afe_config_t { aec_init: false, se_init: true, vad_init: true }
afe-ring               I echokit::audio   afe ringbuf size: 40
audio-chunk            I echokit::audio   audio chunksize: 256
feed-chunk             I echokit::audio   feed_chunksize: 256
afe-feed-started       I echokit::audio   AFE feed thread started, on core Core1
afe-worker-started     I echokit::audio   AFE worker started
stack                  I echokit::audio   Stack high: 2048
setup-key              I echokit          Button k0 pressed to enter setup
setup-leave            I echokit          Received event to enter setup
ble-connected          I echokit::bt      Client connected: BLEConnDesc { handle: 1 }
ble-disconnected       I echokit::bt      Client disconnected (Ok(()))
ble-advertising        I echokit::bt      Multi-connect support: start advertising
ble-read               I echokit::bt      Read from SSID characteristic
ble-ssid-written       I echokit::bt      Wrote to SSID characteristic: home -> kitchen
ble-ssid               I echokit::bt      New SSID: kitchen
ble-password-written   I echokit::bt      Wrote to pass characteristic: rose -> tulip
ble-password           I echokit::bt      New pass: tulip
ble-server-url         I echokit::bt      New server URL: ws://192.0.2.1/ws/
ble-background         I echokit::bt      New background GIF received, size: 40960
ble-avatar             I echokit::bt      New avatar GIF received, size: 2048
ble-avatar-cleared     I echokit::bt      Clearing avatar GIF to default.
ble-linear-gain        I echokit::bt      New AFE linear gain: 1.5
ble-agc-level          I echokit::bt      New AGC target level: 3
ble-agc-gain           I echokit::bt      New AGC compression gain: 9
ble-bad-reset          W echokit::bt      Invalid reset command received via BLE.
ble-gif-too-large      W echokit::bt      Background GIF size exceeds 1024KB, resetting to default.
ble-save-failed        E echokit::bt      Failed to save ssid to NVS: EspError(4356)
ble-parse-failed       E echokit::bt      Failed to parse new SSID from bytes.
k0-edge                I echokit          Button k0 pressed Low
k0-edge                I echokit          Button k0 pressed High
volume-up-key          I board            Volume up button pressed
volume-down-key        I board            Volume down button pressed
touch-pressed          I echokit::boards::cube2 Touch switch E0 pressed
touch-released         I echokit::boards::cube2 Touch switch E0 not pressed
touch-pressed          I echokit::boards::cube2 Touch switch E1 pressed
touch-released         I echokit::boards::cube2 Touch switch E1 not pressed
event-selected         I echokit::app     [Select] Received event: Event("k0")
event-selected         I echokit::app     [Select] Received event: Event("k0_")
event-selected         I echokit::app     [Select] Received event: Event("vol_up")
event-selected         I echokit::app     [Select] Received event: Event("vol_down")
event-selected         I echokit::app     [Select] Received event: Event("vol_switch")
event-selected         I echokit::app     [Select] Received event: Event("reset")
k0                     I echokit::app     Received event: k0
hello-awaited          I echokit::app     Waiting for hello response
hello-taken            I echokit::audio   Received Hello event
hello-played           I echokit::app     Hello response received
reconnect-failed       W echokit::ws      Reconnect attempt 2/3 failed: IO error: Connection reset by peer
interrupt-set          I echokit::app     Set allow_interrupt to true
interrupt-set          I echokit::app     Set allow_interrupt to false
volume-set             I echokit::app     Volume set to 4
idle                   I echokit::app     Received idle event
speech-started         I echokit::audio   Speech started
speech-ended           I echokit::audio   Speech ended
mic-end-selected       I echokit::app     [Select] Received MicAudioEnd
mic-end                I echokit::app     Received MicAudioEnd
utterance-started      I echokit::app     Start submitting audio
start-chat             I echokit::app     Submitted StartChat command
no-asr                 I echokit::app     No ASR result after 10s audio, ending request
mic-rejected           I echokit::app     Received MicAudioChunk while no Listening/Speaking state, ignoring
asr                    I echokit::app     Received ASR: "How \\"far\\"?"
end-vad                I echokit::app     Received EndVad event from server
action                 I echokit::app     Received action
start-audio-read       I echokit::ws      Received StartAudio event: Far.
start-audio            I echokit::app     Received audio start: "Far."
end-audio              I echokit::app     Received audio end
audio-speed            I echokit::app     Audio speed: 0.42x
audio-speed            I echokit::app     Audio speed: infx
drained                I echokit::app     Received notify event
end-response           I echokit::app     Received request end
hello-start            I echokit::app     Received hello start
hello-end              I echokit::app     Received hello end
url-selected           I echokit::app     [Select] Received ServerUrl: ws://192.0.2.1/ws/
url                    I echokit::app     Received ServerUrl: ws://192.0.2.1/ws/
undecodable            W echokit::ws      Failed to deserialize binary data: unknown variant \`Choices\`, expected one of \`HelloStart\`, \`HelloChunk\`
undecodable            W echokit::ws      Failed to deserialize binary data: wrong msgpack marker FixStr(3)
undecodable            W echokit::ws      Failed to deserialize binary data: invalid length 1, expected struct variant ServerEvent::ASR with 1 element
undecodable            W echokit::ws      Failed to deserialize binary data: array had incorrect length, expected 2
undecodable            W echokit::ws      Failed to deserialize binary data: invalid type: integer \`3\`, expected a string
undecodable            W echokit::ws      Failed to deserialize binary data: IO error while reading marker: failed to fill whole buffer
undecodable            W echokit::ws      Failed to deserialize binary data: IO error while reading data: failed to fill whole buffer
bad-opus               W echokit::ws      Failed to decode opus audio chunk: opus_decode: corrupted stream
bad-opus               W echokit::ws      Failed to decode opus audio chunk: opus_decode: buffer too small
bad-opus               W echokit::ws      Failed to decode opus audio chunk: opus_decode: invalid argument
bad-opus               W echokit::ws      Failed to decode opus audio chunk: opus_decode: internal error
not-binary             E echokit::ws      Unexpected non-binary WebSocket message received
server-closed          I echokit::ws      WebSocket stream ended
receive-error          E echokit::ws      WebSocket receive error: IO error: Connection reset by peer
socket-error           E echokit::ws      WebSocket manager error: WebSocket receive error: IO error: Connection reset by peer
socket-error           E echokit::ws      WebSocket manager error: WebSocket send error: IO error: Broken pipe
closed                 I echokit::ws      WebSocket closed by client request
replaced               I echokit::ws      WebSocket send channel closed
audio-chunk-error      E echokit::app     Error sending audio chunk: sending on a closed channel
hello-end-error        E echokit::app     Error sending hello end
audio-error            E board            Audio worker error: ESP_ERR_TIMEOUT
read-mismatch          W echokit::audio   Read size mismatch: expected 512, got 256
audio-exited           W echokit::audio   I2S loop exited
feed-exited            W echokit::audio   I2S AFE feed thread exited
afe-error              E echokit::audio   AFE worker error: receiving on a closed channel
flush-error            W board            flush_display error: 259
afe-full               W AFE              Ringbuffer of AFE(FEED) is full, Please use fetch() to read data to avoid data loss or overwriting
error                  E echokit          Error: Timeout sending message
main-loop-over         I echokit          WebSocket task finished successfully
restart                E echokit          WebSocket task finished
setting-missing        E echokit          Failed to get ssid: EspError(4354)
setting-missing        E echokit          Failed to get pass: EspError(4354)
setting-missing        E echokit          Failed to get server_url: EspError(4354)
setting-missing        E echokit          Failed to get background_gif size: EspError(4354)
setting-missing        E echokit          Failed to get avatar_gif size: EspError(4354)
setting-missing        E echokit          Failed to get afe_linear_gain: EspError(4354)
setting-missing        E echokit          Failed to get agc_target_level_dbfs: EspError(4354)
setting-missing        E echokit          Failed to get agc_compression_gain_db: EspError(4354)
background-mismatch    W echokit          Background GIF size mismatch: expected 4096, got 1024
avatar-mismatch        W echokit          Avatar GIF size mismatch: expected 4096, got 1024
background-set         I echokit          Background GIF set from NVS
background-saved       I echokit          Background GIF saved to NVS
avatar-set             I echokit          Avatar GIF set from NVS
avatar-saved           I echokit          Avatar GIF saved to NVS
background-save-failed E echokit          Failed to save background GIF to NVS: EspError(4357)
avatar-save-failed     E echokit          Failed to save avatar GIF to NVS: EspError(4357)
avatar-clear-failed    E echokit          Failed to clear avatar GIF from NVS: EspError(4357)
k0-lost                E echokit          Failed to send K0 event
i2c-failed             E echokit          Failed to initialize I2C: EspError(259)
nfc-absent             I echokit          MFRC522 feature not enabled, skipping RFID initialization
password-empty         I echokit::network Wifi password is empty
volume-up-lost         E board            Failed to send volume up event: channel closed
volume-down-lost       E board            Failed to send volume down event: channel closed
volume-wait-error      E board            Volume button wait error: EspError(259)
touch-k0-lost          E board            Failed to send k0 event
i2c-no-tasks           W echokit::boards  No I2C tasks to run
i2c-init-error         E echokit::boards  I2C init function error: timeout
i2c-loop-error         E echokit::boards  I2C loop function error: timeout
nfc-init-error         E echokit::boards  Error initializing MFRC522: timeout
nfc-check-error        E echokit::boards  Error checking MFRC522 initialization
nfc-parse-error        E echokit::boards  Error parsing NDEF message: too short
nfc-decode-error       E echokit::boards  Error decoding NDEF message: too short
nfc-uid-error          E echokit::boards  Error getting card UID: timeout
nfc-card-error         E echokit::boards  Error checking for new card: timeout
url-lost               E echokit::boards  Failed to send ServerUrl event: channel closed
nfc-type               I echokit::boards  PICC Type: Ultralight
event-unhandled        I echokit::app     Received event: "reset"
no-events              I echokit::app     No events
main-work-done         I echokit::app     Main work done
deprecated-chunk       W echokit::app     Received deprecated AudioChunk, please use AudioChunki16 instead
deprecated-chunk       W echokit::app     Received deprecated AudioChunkWithVowel, please use AudioChunki16 instead
stack-caps-error       E echokit::audio   Failed to set thread stack alloc caps: EspError(258)
pcm-selected           D echokit::app     [Select] Received AudioChunki16
hello-selected         D echokit::app     [Select] Received HelloChunk
message-selected       D echokit::app     [Select] Received message: EndAudio
mic-selected           D echokit::app     [Select] Received MicAudioChunk with 512 bytes
vowel-selected         D echokit::app     [Select] Received Vowel: 3
audio-taken            D echokit::app     Received audio chunk
audio-dropped          D echokit::app     Received audio chunk while not speaking
hello-chunk            D echokit::app     Received hello chunk
end-audio-ignored      D echokit::app     Received EndAudio while not in speaking state
end-vad-ignored        D echokit::app     Received EndVad while no Listening/Speaking state, ignoring
pre-roll-sent          D echokit::audio   Sending cached 4096 bytes
speech-sent            D echokit::audio   Speech detected, sending 512 bytes
message-sent           D echokit::ws      WebSocket message sent
`;

/** Section 8.6. */
const crashTable = `
rust-panic           thread 'main' panicked at src/app.rs:120:9:
rust-panic-numbered  thread 'main' (3) panicked at src/app.rs:120:9:
allocation-failed    memory allocation of 8192 bytes failed
abort                abort() was called at PC 0x4037f2d1 on core 0
assert-failed        assert failed: xQueueSemaphoreTake queue.c:1709 (( pxQueue ))
guru-meditation      Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.
guru-meditation      Guru Meditation Error: Core 1 panic'ed (Interrupt wdt timeout on CPU1). 
stack-canary         Stack canary watchpoint triggered (pthread)
stack-overflow       ***ERROR*** A stack overflow in task pthread has been detected.
register-dump        Core  0 register dump:
registers            PC      : 0x42008a1c  PS      : 0x00060d33  A0      : 0x8200a4f0  A1      : 0x3fcb1e90
backtrace            Backtrace: 0x42008a19:0x3fcb1e90 0x4200a4ed:0x3fcb1eb0
backtrace            Backtrace: 0x42008a19:0x3fcb1e90 0x4200a4ed:0x3fcb1eb0 |<-CORRUPTED
backtrace            Backtrace: 0x42008a19:0x3fcb1e90 0x4200a4ed:0x3fcb1eb0 |<-CONTINUES
elf                  ELF file SHA256: 5f2a9c01d
rebooting            Rebooting...
task-watchdog        E (6165) task_wdt: Task watchdog got triggered. The following tasks/users did not reset the watchdog in time:
watchdog-task         - IDLE0 (CPU 0)
watchdog-running     Tasks currently running:
watchdog-cpu         CPU 0: main
watchdog-backtrace   Print CPU 0 (current core) backtrace
brown-out            I BOD: Brownout detector was triggered
`;

interface Row {
  readonly event: string;
  readonly lines: readonly string[];
}

/** Event, spaces, line; a line may begin with one space of its own. */
function rowsOf(table: string): Row[] {
  const rows = table.split('\n').filter((row) => row.trim() !== '');
  const width = Math.min(...rows.map((row) => /^\S+ +/.exec(row)![0].length));
  return rows.map((row) => ({ event: row.split(' ')[0]!, lines: [row.slice(width)] }));
}

function firmwareRows(): Row[] {
  const rows = firmwareTable.split('\n').filter((row) => row !== '');
  return rows.map((row) => {
    const [, event, level, tag, text] = /^(\S+) +([EWID]) (\S+) +(.+)$/.exec(row)!;
    const tags = tag === 'board' ? boardTags : [tag!];
    return { event: event!, lines: tags.map((name) => `${level} (9000) ${name}: ${text}`) };
  });
}

for (const [section, rows, count] of [
  ['8.3', rowsOf(bootTable), 18],
  ['8.4', firmwareRows(), 180],
  ['8.6', rowsOf(crashTable), 22],
] as const) {
  test(`every line of section ${section} is the event that it tells, and none is unexpected`, (t) => {
    t.is(rows.length, count);
    for (const { event, lines } of rows) {
      for (const line of lines) {
        const { shown } = read([line]);
        t.is(shown[0]?.line.event?.name as string, event, line);
        t.not(shown[0]?.origin, 'unexpected', line);
        t.not(shown[0]?.origin, 'continuation', line);
      }
    }
  });
}

test('the causes of an error and the message of a panic belong to the line before (section 8.2)', (t) => {
  const error = read([
    'E (9) echokit: Error: lost',
    '',
    'Caused by:',
    '    0: IO error',
    'I (9) x: y',
  ]);
  t.deepEqual(
    error.shown.map(({ origin }) => origin),
    ['firmware', 'blank', 'continuation', 'continuation', 'system'],
  );
  const panic = read([
    "thread 'main' panicked at src/app.rs:1:1:",
    'called `unwrap()`',
    'Rebooting...',
  ]);
  t.deepEqual(
    panic.shown.map(({ origin }) => origin),
    ['panic', 'panic', 'panic'],
  );
});

const esc = String.fromCharCode(27);

/**
 * The lines that published logs of an ESP32-S3 have, builds of other people with other modules; where a value names
 * somebody's machine or network it is another one.
 */
const published: Readonly<Record<string, string>> = {
  'ESP-IDF 5.5 from Rust, octal PSRAM, power-on': `
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x1 (POWERON),boot:0x2b (SPI_FAST_FLASH_BOOT)
SPIWP:0xee
mode:DIO, clock div:2
load:0x3fce2820,len:0x158c
load:0x403c8700,len:0xd24
load:0x403cb700,len:0x2f34
entry 0x403c8924
I (29) boot: ESP-IDF v5.5.1-838-gd66ebb86d2e 2nd stage bootloader
I (30) boot: compile time Nov 26 2025 12:27:56
I (30) boot: Multicore bootloader
I (31) boot: chip revision: v0.2
I (34) boot: efuse block revision: v1.4
I (38) boot.esp32s3: Boot SPI Speed : 40MHz
I (42) boot.esp32s3: SPI Mode       : DIO
I (45) boot.esp32s3: SPI Flash Size : 16MB
I (49) boot: Enabling RNG early entropy source...
I (54) boot: Partition Table:
I (56) boot: ## Label            Usage          Type ST Offset   Length
I (63) boot:  0 nvs              WiFi data        01 02 00009000 00006000
I (82) boot: End of partition table
I (86) esp_image: segment 0: paddr=00010020 vaddr=3c060020 size=2c7a8h (182184) map
I (142) esp_image: segment 3: paddr=00040020 vaddr=42000020 size=5a980h (371072) map
I (300) boot: Loaded app from partition at offset 0x10000
I (300) boot: Disabling RNG early entropy source...
I (311) octal_psram: vendor id    : 0x0d (AP)
I (311) octal_psram: good-die     : 0x01 (Pass)
I (312) octal_psram: Readlatency  : 0x02 (10 cycles@Fixed)
I (320) octal_psram: DriveStrength: 0x00 (1/1)
I (340) MSPI Timing: PSRAM timing tuning index: 5
I (345) esp_psram: Found 8MB PSRAM device
I (350) cpu_start: Multicore app
I (800) esp_psram: SPI SRAM memory test OK
I (820) app_init: Project name:     libespidf
I (825) app_init: App version:      1
I (830) app_init: ELF file SHA256:  000000000...
I (835) app_init: ESP-IDF:          v5.5.1
I (900) main_task: Started on CPU0
I (910) main_task: Calling app_main()`,

  'ESP-IDF 5.3 with Wi-Fi to its address': `
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)
SPIWP:0xee
mode:DIO, clock div:1
load:0x3fce2810,len:0x178c
load:0x403c8700,len:0x4
entry 0x403c8914
I (27) boot: ESP-IDF v5.3.1-dirty 2nd stage bootloader
I (49) boot: Enabling RNG early entropy source...
I (300) boot: Loaded app from partition at offset 0x10000
I (330) cpu_start: Multicore app
I (345) cpu_start: Pro cpu start user code
I (345) cpu_start: cpu freq: 160000000 Hz
I (350) app_init: Application information:
I (380) efuse_init: Max chip rev:     v0.99 
I (390) heap_init: At 3FCA00B8 len 00049658 (293 KiB): RAM
W (430) spi_flash: Detected size(8192k) larger than the size in the binary image header(2048k). Using the size in the binary image header.
I (440) sleep_gpio: Configure to isolate all GPIO pins in sleep state
I (454) main_task: Calling app_main()
I (464) pp: pp rom version: e7ae62f
I (474) net80211: net80211 rom version: e7ae62f
I (484) wifi:wifi driver task: 3fcd5130, prio:23, stack:6656, core=0
I (484) wifi:wifi firmware version: a9f5b59
I (484) wifi:config NVS flash: enabled
I (494) wifi:Init data frame dynamic rx buffer num: 32
I (514) wifi:Init static rx buffer size: 1600
I (520) wifi_init: rx ba win: 6
I (525) wifi_init: WiFi IRAM OP enabled
I (530) phy_init: phy_version 680,a6008b2,Jun  4 2024,16:41:10
I (580) wifi:mode : sta (02:ec:0e:00:00:02)
I (580) wifi:enable tsf
I (900) wifi:new:<6,2>, old:<1,0>, ap:<255,255>, sta:<6,2>, prof:1, snd_ch_cfg:0x0
I (900) wifi:state: init -> auth (0xb0)
I (910) wifi:state: auth -> assoc (0x0)
I (920) wifi:state: assoc -> run (0x10)
I (950) wifi:connected with kitchen, aid = 5, channel 6, 40D, bssid = 02:00:00:00:00:01
I (950) wifi:security: WPA2-PSK, phy: bgn, rssi: -50
I (960) wifi:pm start, type: 1
I (960) wifi:dp: 1, bi: 102400, li: 3, scale listen interval from 307200 us to 307200 us
I (1000) wifi:AP's beacon interval = 102400 us, DTIM period = 1
I (1010) wifi:<ba-add>idx:0 (ifx:0, 02:00:00:00:00:01), tid:0, ssn:0, winSize:64
W (1020) wifi:<ba-add>idx:1, ifx:0, tid:6, TAHI:0x1002e6d, TALO:0xe0c0a4a6, (ssn:2, win:64, cur_ssn:2), CONF:0xc0006005
I (2000) esp_netif_handlers: sta ip: 192.0.2.7, mask: 255.255.255.0, gw: 192.0.2.1`,

  'ESP-IDF 5.1 with colors, application information of the older kind': `
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x10 (RTCWDT_RTC_RST),boot:0x2b (SPI_FAST_FLASH_BOOT)
SPIWP:0xee
mode:DOUT, clock div:1
load:0x3fce3818,len:0x1750
entry 0x403c9908
${esc}[0;32mI (27) boot: ESP-IDF 5.1.2 2nd stage bootloader${esc}[0m
${esc}[0;32mI (34) boot.esp32s3: Boot SPI Speed : 80MHz${esc}[0m
${esc}[0;32mI (114) boot: Defaulting to factory image${esc}[0m
${esc}[0;32mI (760) cpu_start: Project name:     porch${esc}[0m
${esc}[0;32mI (771) cpu_start: Compile time:     May 27 2024 22:01:04${esc}[0m
${esc}[0;32mI (777) cpu_start: ELF file SHA256:  968bda9fce6200dd...${esc}[0m
${esc}[0;32mI (797) cpu_start: Chip rev:         v0.1${esc}[0m
${esc}[0;32mI (815) heap_init: At 3FCE9710 len 00005724 (21 KiB): STACK/DRAM${esc}[0m
${esc}[0;32mI (828) esp_psram: Adding pool of 8192K of PSRAM memory to heap allocator${esc}[0m
${esc}[0;32mI (858) app_start: Starting scheduler on CPU0${esc}[0m
${esc}[0;32mI (873) main_task: Calling app_main()${esc}[0m`,

  'a board that is reset over USB in the middle of a line': `
I (105) esp_image: segment 1: paddr=000266c4 vaddr=3fc9a400 sizeESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x15 (USB_UART_CHIP_RESET),boot:0x2b (SPI_FAST_FLASH_BOOT)
Saved PC:0x4037eeb6
SPIWP:0xee
mode:DIO, clock div:1
load:0x3fce2810,len:0x1564
entry 0x403c8928
I (26) boot: ESP-IDF v5.4.2 2nd stage bootloader
I (27) boot: compile time Jul 16 2025 10:11:12`,

  'Bluetooth with NimBLE and the front end of esp-sr': `
I (34) qio_mode: Enabling default flash chip QIO
I (38) boot.esp32s3: Boot SPI Speed : 80MHz
I (640) BLE_INIT: BT controller compile version [4713a69]
I (645) BLE_INIT: Using main XTAL as clock source
I (650) BLE_INIT: Feature Config, ADV:1, BLE_50:1, DTM:1, SCAN:1, CCA:0, SMP:1, CONNECT:1
I (655) BLE_INIT: Bluetooth MAC: 02:ec:0e:00:00:04
I (700) NimBLE: GAP procedure initiated: advertise; 
I (700) NimBLE: disc_mode=2
I (705) NimBLE:  adv_channel_map=0 own_addr_type=0 adv_filter_policy=0 adv_itvl_min=0 adv_itvl_max=0
I (710) NimBLE: 

W (720) AFE_CONFIG: wakenet model not found. please check your model data.
I (725) AFE: AFE Version: (1MIC_V250121)
I (730) AFE: Input PCM Config: total 1 channels(1 microphone, 0 playback), sample rate:16000
I (735) AFE: AFE Pipeline: [input] ->  -> |VAD(WebRTC)| ->  -> [output]
W (900) AFE: Ringbuffer of AFE is empty, Please use feed() to write data`,

  'watchdogs that reset the chip again and again before anything runs': `
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x12 (SUPER_WDT_RST),boot:0x2a (SPI_FAST_FLASH_BOOT)
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x7 (TG0WDT_SYS_RST),boot:0x2a (SPI_FAST_FLASH_BOOT)
Saved PC:0x4004e550
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x7 (TG0WDT_SYS_RST),boot:0x2a (SPI_FAST_FLASH_BOOT)
Saved PC:0x4004e550`,

  'the other download mode, of the SPI bus': `
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x15 (USB_UART_CHIP_RESET),boot:0x36 (SPI_DOWNLOAD_BOOT)
Saved PC:0x400507ae
wait spi download`,

  'an image that does not match its checksum, and boots all the same': `
ESP-ROM:esp32s3-20210327
Build:Mar 27 2021
rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)
SPIWP:0xee
mode:DIO, clock div:2
load:0x3fce3818,len:0x171c
SHA-256 comparison failed:
Calculated: 1d06b938c0222bf626e0bdf46178b1b37ab24d03f0360fc8fcf7153c2571deaf
Expected: 68d7bdf643ba446b8ed7ae8423241d442fd052b2bc77091100ba06fd65dcf8d5
Attempting to boot anyway...
entry 0x403c9908
I (50) boot: ESP-IDF v5.1-beta1-378-gea5e0ff298-dirt 2nd stage bootloader`,
};

for (const [what, text] of Object.entries(published)) {
  test(`a published boot goes through without an unexpected line: ${what}`, (t) => {
    const { shown, story, reader } = read(text.slice(1).split('\n'));
    t.deepEqual(
      shown.filter(({ origin }) => origin === 'unexpected').map((line) => line.text),
      [],
    );
    t.is(reader.counts.unexpected, 0);
    const types = new Set(story.map(({ type }) => type));
    for (const wrong of ['panic', 'bytes-missing', 'wrong-baud', 'failure'] as const) {
      t.false(types.has(wrong), wrong);
    }
  });
}

test('what the published boots tell: builds, address, resets, download modes', (t) => {
  const of = (what: string) => read(published[what]!.slice(1).split('\n'));
  const rust = of('ESP-IDF 5.5 from Rust, octal PSRAM, power-on');
  t.like(rust.reader.identity, { project: 'libespidf', idf: 'v5.5.1', psramMegabytes: 8 });
  const wifi = of('ESP-IDF 5.3 with Wi-Fi to its address');
  t.like(wifi.reader.identity, { mac: '02ec0e000002', ip: '192.0.2.7' });
  const torn = of('a board that is reset over USB in the middle of a line');
  t.deepEqual(
    torn.shown.slice(0, 2).map(({ end }) => end),
    ['torn', 'whole'],
  );
  const loop = of('watchdogs that reset the chip again and again before anything runs');
  t.is(loop.story.filter(({ type }) => type === 'boot-loop').length, 1);
  const spi = of('the other download mode, of the SPI bus');
  t.is(spi.reader.state, 'Download');
  t.is(spi.story.filter(({ type }) => type === 'download-mode').length, 1);
});

/**
 * The lines of a board's serial console as data (EchoKit device protocol reference, sections 8.3,
 * 8.4 and 8.6), and what ESP-IDF prints around them. A form is a text with fields in braces: `{n:int}` is a whole number, `{x:ratio}` one
 * with decimals or `inf`, `{a:hex}` a number with `0x`, `{s:debug}` a quoted Rust text, `{s:padded}`
 * a text behind spaces, `{r:registers}` one or more `NAME : 0x…`, `{s:secret}` a text that is never handed on, `{s}` any text.
 */
export type ConsoleLevel = 'E' | 'W' | 'I' | 'D' | 'V';

export interface ConsoleForm {
  /** Unique; the name of the event. */
  readonly name: string;
  readonly level: ConsoleLevel;
  /** `board`: the module of the board, {@link boardTags}. */
  readonly tag: string;
  readonly text: string;
}

/** Without level and tag: the ROM, the panic handler. */
export interface BareForm {
  readonly name: string;
  readonly text: string;
}

export const boardTags: readonly string[] = [
  'echokit::boards::base',
  'echokit::boards::atom_box',
  'echokit::boards::cube',
  'echokit::boards::cube2',
];

/** ROM and boot loader, the panic handler, the task watchdog. */
export const bareForms = [
  { name: 'rom', text: 'ESP-ROM:{chip}-{date:int}' },
  { name: 'rom-build', text: 'Build:{date}' },
  { name: 'reset', text: 'rst:{reset:hex} ({reason}),boot:{strap:hex} ({mode})' },
  { name: 'waiting-for-download', text: 'waiting for download' },
  { name: 'waiting-for-spi-download', text: 'wait spi download' },
  { name: 'no-application', text: 'invalid header: {header:hex}' },
  { name: 'saved-pc', text: 'Saved PC:{pc:hex}' },
  { name: 'rom-spi-wp', text: 'SPIWP:{pin:hex}' },
  { name: 'rom-flash-mode', text: 'mode:{mode}, clock div:{divider:int}' },
  { name: 'rom-load', text: 'load:{address:hex},len:{bytes:hex}' },
  { name: 'rom-image-differs', text: 'SHA-256 comparison failed:' },
  { name: 'rom-image-sum', text: 'Calculated: {sha256}' },
  { name: 'rom-image-expected', text: 'Expected: {sha256}' },
  { name: 'rom-image-taken', text: 'Attempting to boot anyway...' },
  { name: 'entry', text: 'entry {address:hex}' },
  { name: 'rust-panic', text: "thread '{thread}' panicked at {file}:{line:int}:{column:int}:" },
  {
    name: 'rust-panic-numbered',
    text: "thread '{thread}' ({number:int}) panicked at {file}:{line:int}:{column:int}:",
  },
  { name: 'allocation-failed', text: 'memory allocation of {bytes:int} bytes failed' },
  { name: 'abort', text: 'abort() was called at PC {pc:hex} on core {core:int}' },
  { name: 'assert-failed', text: 'assert failed: {function} {file}:{line:int} ({expression})' },
  {
    name: 'guru-meditation',
    text: "Guru Meditation Error: Core {core:padded} panic'ed ({reason}).{description:padded}",
  },
  { name: 'debug-exception', text: 'Debug exception reason: {reason}' },
  { name: 'stack-canary', text: 'Stack canary watchpoint triggered ({task})' },
  {
    name: 'stack-overflow',
    text: '***ERROR*** A stack overflow in task {task} has been detected.',
  },
  { name: 'register-dump', text: 'Core {core:padded} register dump:' },
  { name: 'registers', text: '{registers:registers}' },
  { name: 'isr-context', text: 'Core {core:padded} was running in ISR context:' },
  { name: 'backtrace', text: 'Backtrace:{frames:padded}' },
  { name: 'elf', text: 'ELF file SHA256: {sha256}' },
  { name: 'rebooting', text: 'Rebooting...' },
  { name: 'watchdog-task', text: ' - {task} (CPU {cpu})' },
  { name: 'watchdog-running', text: 'Tasks currently running:' },
  { name: 'watchdog-cpu', text: 'CPU {cpu:int}: {task}' },
  { name: 'watchdog-abort', text: 'Aborting.' },
  { name: 'watchdog-other-backtrace', text: 'Print CPU {cpu:int} backtrace' },
  { name: 'watchdog-backtrace', text: 'Print CPU {cpu:int} (current core) backtrace' },
  { name: 'early-brown-out', text: 'Brownout detector was triggered' },
  { name: 'caused-by', text: 'Caused by:' },
] as const satisfies readonly BareForm[];

const bootForms = [
  {
    name: 'bootloader',
    level: 'I',
    tag: 'boot',
    text: 'ESP-IDF {version} 2nd stage bootloader',
  },
  {
    name: 'entropy-source',
    level: 'I',
    tag: 'boot',
    text: 'Enabling RNG early entropy source...',
  },
  { name: 'chip-revision', level: 'I', tag: 'boot', text: 'chip revision: {revision}' },
  {
    name: 'app-loaded',
    level: 'I',
    tag: 'boot',
    text: 'Loaded app from partition at offset {offset:hex}',
  },
  { name: 'octal-psram', level: 'I', tag: 'octal_psram', text: '{text}' },
  {
    name: 'psram-found',
    level: 'I',
    tag: 'esp_psram',
    text: 'Found {megabytes:int}MB PSRAM device',
  },
  { name: 'psram-tested', level: 'I', tag: 'esp_psram', text: '{prefix}SPI SRAM memory test OK' },
  { name: 'app-start', level: 'I', tag: 'cpu_start', text: 'Multicore app' },
  { name: 'app-project', level: 'I', tag: 'app_init', text: 'Project name:{project:padded}' },
  { name: 'app-version', level: 'I', tag: 'app_init', text: 'App version:{version:padded}' },
  { name: 'app-elf', level: 'I', tag: 'app_init', text: 'ELF file SHA256:{sha256:padded}' },
  { name: 'app-idf', level: 'I', tag: 'app_init', text: 'ESP-IDF:{version:padded}' },
  { name: 'app-main', level: 'I', tag: 'main_task', text: 'Calling app_main()' },
  { name: 'default-url-none', level: 'I', tag: 'echokit', text: 'DEFAULT_SERVER_URL: None' },
  {
    name: 'default-url',
    level: 'I',
    tag: 'echokit',
    text: 'DEFAULT_SERVER_URL: Some({url:debug})',
  },
  { name: 'ssid', level: 'I', tag: 'echokit', text: 'SSID: {ssid:debug}' },
  { name: 'password', level: 'I', tag: 'echokit', text: 'PASS: {password:secret}' },
  { name: 'server-url', level: 'I', tag: 'echokit', text: 'Server URL: {url:debug}' },
  { name: 'heap-spiram', level: 'I', tag: 'echokit', text: 'Free SPIRAM heap size: {kib:int}KB' },
  {
    name: 'heap-internal',
    level: 'I',
    tag: 'echokit',
    text: 'Free INTERNAL heap size: {kib:int}KB',
  },
  { name: 'panel-io', level: 'I', tag: 'board', text: 'Install panel IO' },
  { name: 'lcd-driver', level: 'I', tag: 'board', text: 'Install LCD driver' },
  { name: 'lcd-reset', level: 'I', tag: 'board', text: 'Reset LCD panel' },
  { name: 'codec-slave', level: 'I', tag: 'es8311', text: 'ES8311 in Slave mode' },
  { name: 'codec-ready', level: 'I', tag: 'es8311', text: '{prefix}ES8311 success' },
  { name: 'codec-mute', level: 'E', tag: 'es8311', text: 'Es8311SetVoiceMute volume:{volume:int}' },
  {
    name: 'i2c-started',
    level: 'I',
    tag: 'echokit::boards',
    text: 'Starting I2C worker thread in core {core}',
  },
  {
    name: 'nfc-ready',
    level: 'I',
    tag: 'echokit::boards',
    text: 'MFRC522 initialized successfully',
  },
  { name: 'nfc-card', level: 'I', tag: 'echokit::boards', text: 'Card UID: {uid}' },
  { name: 'nfc-record', level: 'I', tag: 'echokit::boards', text: 'NDEF Text Record: {text}' },
  { name: 'nfc-url', level: 'I', tag: 'echokit', text: 'Received ServerUrl event: {url}' },
  { name: 'wifi-connecting', level: 'I', tag: 'echokit::network', text: 'Connecting wifi...' },
  { name: 'wifi-dhcp', level: 'I', tag: 'echokit::network', text: 'Waiting for DHCP lease...' },
  { name: 'wifi-info', level: 'I', tag: 'echokit::network', text: 'Wifi DHCP info: {info}' },
  { name: 'wifi-mac', level: 'I', tag: 'wifi', text: 'mode : sta ({mac})' },
  { name: 'ble-mac', level: 'I', tag: 'BLE_INIT', text: 'Bluetooth MAC: {mac}' },
  {
    name: 'wifi-ip',
    level: 'I',
    tag: 'esp_netif_handlers',
    text: 'sta ip: {ip}, mask: {mask}, gw: {gateway}',
  },
  {
    name: 'server-unreachable',
    level: 'I',
    tag: 'echokit',
    text: 'Failed to connect to server: Some({reason})',
  },
  {
    name: 'audio-started',
    level: 'I',
    tag: 'board',
    text: 'Starting audio worker thread in core {core}',
  },
  { name: 'afe-config', level: 'I', tag: 'echokit::audio', text: 'afe_config_t {{config}' },
  { name: 'afe-ring', level: 'I', tag: 'echokit::audio', text: 'afe ringbuf size: {frames:int}' },
  {
    name: 'audio-chunk',
    level: 'I',
    tag: 'echokit::audio',
    text: 'audio chunksize: {samples:int}',
  },
  { name: 'feed-chunk', level: 'I', tag: 'echokit::audio', text: 'feed_chunksize: {samples:int}' },
  {
    name: 'afe-feed-started',
    level: 'I',
    tag: 'echokit::audio',
    text: 'AFE feed thread started, on core {core}',
  },
  { name: 'afe-worker-started', level: 'I', tag: 'echokit::audio', text: 'AFE worker started' },
  { name: 'stack', level: 'I', tag: 'echokit::audio', text: 'Stack high: {bytes}' },
] as const satisfies readonly ConsoleForm[];

const setupForms = [
  { name: 'setup-key', level: 'I', tag: 'echokit', text: 'Button k0 pressed to enter setup' },
  { name: 'setup-leave', level: 'I', tag: 'echokit', text: 'Received event to enter setup' },
  { name: 'ble-connected', level: 'I', tag: 'echokit::bt', text: 'Client connected: {client}' },
  {
    name: 'ble-disconnected',
    level: 'I',
    tag: 'echokit::bt',
    text: 'Client disconnected ({reason})',
  },
  {
    name: 'ble-advertising',
    level: 'I',
    tag: 'echokit::bt',
    text: 'Multi-connect support: start advertising',
  },
  { name: 'ble-read', level: 'I', tag: 'echokit::bt', text: 'Read from {what} characteristic' },
  {
    name: 'ble-ssid-written',
    level: 'I',
    tag: 'echokit::bt',
    text: 'Wrote to SSID characteristic: {before} -> {after}',
  },
  { name: 'ble-ssid', level: 'I', tag: 'echokit::bt', text: 'New SSID: {ssid}' },
  {
    name: 'ble-password-written',
    level: 'I',
    tag: 'echokit::bt',
    text: 'Wrote to pass characteristic: {values:secret}',
  },
  { name: 'ble-password', level: 'I', tag: 'echokit::bt', text: 'New pass: {password:secret}' },
  { name: 'ble-server-url', level: 'I', tag: 'echokit::bt', text: 'New server URL: {url}' },
  {
    name: 'ble-background',
    level: 'I',
    tag: 'echokit::bt',
    text: 'New background GIF received, size: {bytes:int}',
  },
  {
    name: 'ble-avatar',
    level: 'I',
    tag: 'echokit::bt',
    text: 'New avatar GIF received, size: {bytes:int}',
  },
  {
    name: 'ble-avatar-cleared',
    level: 'I',
    tag: 'echokit::bt',
    text: 'Clearing avatar GIF to default.',
  },
  { name: 'ble-linear-gain', level: 'I', tag: 'echokit::bt', text: 'New AFE linear gain: {gain}' },
  { name: 'ble-agc-level', level: 'I', tag: 'echokit::bt', text: 'New AGC target level: {level}' },
  {
    name: 'ble-agc-gain',
    level: 'I',
    tag: 'echokit::bt',
    text: 'New AGC compression gain: {gain}',
  },
  {
    name: 'ble-bad-reset',
    level: 'W',
    tag: 'echokit::bt',
    text: 'Invalid reset command received via BLE.',
  },
  {
    name: 'ble-gif-too-large',
    level: 'W',
    tag: 'echokit::bt',
    text: '{which} GIF size exceeds {kib:int}KB, resetting to default.',
  },
  {
    name: 'ble-save-failed',
    level: 'E',
    tag: 'echokit::bt',
    text: 'Failed to save {what} to NVS: {reason}',
  },
  {
    name: 'ble-parse-failed',
    level: 'E',
    tag: 'echokit::bt',
    text: 'Failed to parse new {what} from bytes.',
  },
] as const satisfies readonly ConsoleForm[];

const runForms = [
  { name: 'k0-edge', level: 'I', tag: 'echokit', text: 'Button k0 pressed {edge}' },
  { name: 'volume-up-key', level: 'I', tag: 'board', text: 'Volume up button pressed' },
  { name: 'volume-down-key', level: 'I', tag: 'board', text: 'Volume down button pressed' },
  {
    name: 'touch-released',
    level: 'I',
    tag: 'echokit::boards::cube2',
    text: 'Touch switch {pad} not pressed',
  },
  {
    name: 'touch-pressed',
    level: 'I',
    tag: 'echokit::boards::cube2',
    text: 'Touch switch {pad} pressed',
  },
  {
    name: 'event-selected',
    level: 'I',
    tag: 'echokit::app',
    text: '[Select] Received event: Event({event:debug})',
  },
  { name: 'k0', level: 'I', tag: 'echokit::app', text: 'Received event: k0' },
  {
    name: 'event-unhandled',
    level: 'I',
    tag: 'echokit::app',
    text: 'Received event: {event:debug}',
  },
  { name: 'hello-awaited', level: 'I', tag: 'echokit::app', text: 'Waiting for hello response' },
  { name: 'hello-taken', level: 'I', tag: 'echokit::audio', text: 'Received Hello event' },
  { name: 'hello-played', level: 'I', tag: 'echokit::app', text: 'Hello response received' },
  {
    name: 'reconnect-failed',
    level: 'W',
    tag: 'echokit::ws',
    text: 'Reconnect attempt {attempt:int}/{tries:int} failed: {reason}',
  },
  {
    name: 'interrupt-set',
    level: 'I',
    tag: 'echokit::app',
    text: 'Set allow_interrupt to {allowed}',
  },
  { name: 'volume-set', level: 'I', tag: 'echokit::app', text: 'Volume set to {volume:int}' },
  { name: 'idle', level: 'I', tag: 'echokit::app', text: 'Received idle event' },
  { name: 'speech-started', level: 'I', tag: 'echokit::audio', text: 'Speech started' },
  { name: 'speech-ended', level: 'I', tag: 'echokit::audio', text: 'Speech ended' },
  {
    name: 'mic-end-selected',
    level: 'I',
    tag: 'echokit::app',
    text: '[Select] Received MicAudioEnd',
  },
  { name: 'mic-end', level: 'I', tag: 'echokit::app', text: 'Received MicAudioEnd' },
  { name: 'utterance-started', level: 'I', tag: 'echokit::app', text: 'Start submitting audio' },
  { name: 'start-chat', level: 'I', tag: 'echokit::app', text: 'Submitted StartChat command' },
  {
    name: 'no-asr',
    level: 'I',
    tag: 'echokit::app',
    text: 'No ASR result after 10s audio, ending request',
  },
  {
    name: 'mic-rejected',
    level: 'I',
    tag: 'echokit::app',
    text: 'Received MicAudioChunk while no Listening/Speaking state, ignoring',
  },
  { name: 'asr', level: 'I', tag: 'echokit::app', text: 'Received ASR: {text:debug}' },
  { name: 'end-vad', level: 'I', tag: 'echokit::app', text: 'Received EndVad event from server' },
  { name: 'action', level: 'I', tag: 'echokit::app', text: 'Received action' },
  {
    name: 'start-audio-read',
    level: 'I',
    tag: 'echokit::ws',
    text: 'Received StartAudio event: {text}',
  },
  {
    name: 'start-audio',
    level: 'I',
    tag: 'echokit::app',
    text: 'Received audio start: {text:debug}',
  },
  { name: 'end-audio', level: 'I', tag: 'echokit::app', text: 'Received audio end' },
  { name: 'audio-speed', level: 'I', tag: 'echokit::app', text: 'Audio speed: {ratio:ratio}x' },
  { name: 'drained', level: 'I', tag: 'echokit::app', text: 'Received notify event' },
  { name: 'end-response', level: 'I', tag: 'echokit::app', text: 'Received request end' },
  { name: 'hello-start', level: 'I', tag: 'echokit::app', text: 'Received hello start' },
  { name: 'hello-end', level: 'I', tag: 'echokit::app', text: 'Received hello end' },
  {
    name: 'url-selected',
    level: 'I',
    tag: 'echokit::app',
    text: '[Select] Received ServerUrl: {url}',
  },
  { name: 'url', level: 'I', tag: 'echokit::app', text: 'Received ServerUrl: {url}' },
  {
    name: 'undecodable',
    level: 'W',
    tag: 'echokit::ws',
    text: 'Failed to deserialize binary data: {reason}',
  },
  {
    name: 'bad-opus',
    level: 'W',
    tag: 'echokit::ws',
    text: 'Failed to decode opus audio chunk: {reason}',
  },
  {
    name: 'not-binary',
    level: 'E',
    tag: 'echokit::ws',
    text: 'Unexpected non-binary WebSocket message received',
  },
  { name: 'server-closed', level: 'I', tag: 'echokit::ws', text: 'WebSocket stream ended' },
  {
    name: 'receive-error',
    level: 'E',
    tag: 'echokit::ws',
    text: 'WebSocket receive error: {reason}',
  },
  {
    name: 'socket-error',
    level: 'E',
    tag: 'echokit::ws',
    text: 'WebSocket manager error: {reason}',
  },
  { name: 'closed', level: 'I', tag: 'echokit::ws', text: 'WebSocket closed by client request' },
  { name: 'replaced', level: 'I', tag: 'echokit::ws', text: 'WebSocket send channel closed' },
  { name: 'hello-end-error', level: 'E', tag: 'echokit::app', text: 'Error sending hello end' },
  {
    name: 'audio-chunk-error',
    level: 'E',
    tag: 'echokit::app',
    text: 'Error sending audio chunk: {reason}',
  },
  { name: 'audio-error', level: 'E', tag: 'board', text: 'Audio worker error: {reason}' },
  {
    name: 'read-mismatch',
    level: 'W',
    tag: 'echokit::audio',
    text: 'Read size mismatch: expected {expected:int}, got {got:int}',
  },
  { name: 'audio-exited', level: 'W', tag: 'echokit::audio', text: 'I2S loop exited' },
  { name: 'feed-exited', level: 'W', tag: 'echokit::audio', text: 'I2S AFE feed thread exited' },
  { name: 'afe-error', level: 'E', tag: 'echokit::audio', text: 'AFE worker error: {reason}' },
  { name: 'flush-error', level: 'W', tag: 'board', text: 'flush_display error: {code:int}' },
  {
    name: 'afe-full',
    level: 'W',
    tag: 'AFE',
    text: 'Ringbuffer of AFE(FEED) is full, Please use fetch() to read data to avoid data loss or overwriting',
  },
  { name: 'error', level: 'E', tag: 'echokit', text: 'Error: {reason}' },
  {
    name: 'main-loop-over',
    level: 'I',
    tag: 'echokit',
    text: 'WebSocket task finished successfully',
  },
  { name: 'restart', level: 'E', tag: 'echokit', text: 'WebSocket task finished' },
] as const satisfies readonly ConsoleForm[];

const otherForms = [
  {
    name: 'setting-missing',
    level: 'E',
    tag: 'echokit',
    text: 'Failed to get {setting}: {reason}',
  },
  {
    name: 'background-mismatch',
    level: 'W',
    tag: 'echokit',
    text: 'Background GIF size mismatch: expected {expected:int}, got {got:int}',
  },
  {
    name: 'avatar-mismatch',
    level: 'W',
    tag: 'echokit',
    text: 'Avatar GIF size mismatch: expected {expected:int}, got {got:int}',
  },
  { name: 'background-set', level: 'I', tag: 'echokit', text: 'Background GIF set from NVS' },
  { name: 'background-saved', level: 'I', tag: 'echokit', text: 'Background GIF saved to NVS' },
  { name: 'avatar-set', level: 'I', tag: 'echokit', text: 'Avatar GIF set from NVS' },
  { name: 'avatar-saved', level: 'I', tag: 'echokit', text: 'Avatar GIF saved to NVS' },
  {
    name: 'background-save-failed',
    level: 'E',
    tag: 'echokit',
    text: 'Failed to save background GIF to NVS: {reason}',
  },
  {
    name: 'avatar-save-failed',
    level: 'E',
    tag: 'echokit',
    text: 'Failed to save avatar GIF to NVS: {reason}',
  },
  {
    name: 'avatar-clear-failed',
    level: 'E',
    tag: 'echokit',
    text: 'Failed to clear avatar GIF from NVS: {reason}',
  },
  { name: 'k0-lost', level: 'E', tag: 'echokit', text: 'Failed to send K0 event' },
  { name: 'i2c-failed', level: 'E', tag: 'echokit', text: 'Failed to initialize I2C: {reason}' },
  {
    name: 'nfc-absent',
    level: 'I',
    tag: 'echokit',
    text: 'MFRC522 feature not enabled, skipping RFID initialization',
  },
  { name: 'password-empty', level: 'I', tag: 'echokit::network', text: 'Wifi password is empty' },
  {
    name: 'volume-up-lost',
    level: 'E',
    tag: 'board',
    text: 'Failed to send volume up event: {reason}',
  },
  {
    name: 'volume-down-lost',
    level: 'E',
    tag: 'board',
    text: 'Failed to send volume down event: {reason}',
  },
  {
    name: 'volume-wait-error',
    level: 'E',
    tag: 'board',
    text: 'Volume button wait error: {reason}',
  },
  { name: 'touch-k0-lost', level: 'E', tag: 'board', text: 'Failed to send k0 event' },
  { name: 'i2c-no-tasks', level: 'W', tag: 'echokit::boards', text: 'No I2C tasks to run' },
  {
    name: 'i2c-init-error',
    level: 'E',
    tag: 'echokit::boards',
    text: 'I2C init function error: {reason}',
  },
  {
    name: 'i2c-loop-error',
    level: 'E',
    tag: 'echokit::boards',
    text: 'I2C loop function error: {reason}',
  },
  {
    name: 'nfc-init-error',
    level: 'E',
    tag: 'echokit::boards',
    text: 'Error initializing MFRC522: {reason}',
  },
  {
    name: 'nfc-check-error',
    level: 'E',
    tag: 'echokit::boards',
    text: 'Error checking MFRC522 initialization',
  },
  {
    name: 'nfc-parse-error',
    level: 'E',
    tag: 'echokit::boards',
    text: 'Error parsing NDEF message: {reason}',
  },
  {
    name: 'nfc-decode-error',
    level: 'E',
    tag: 'echokit::boards',
    text: 'Error decoding NDEF message: {reason}',
  },
  {
    name: 'nfc-uid-error',
    level: 'E',
    tag: 'echokit::boards',
    text: 'Error getting card UID: {reason}',
  },
  {
    name: 'nfc-card-error',
    level: 'E',
    tag: 'echokit::boards',
    text: 'Error checking for new card: {reason}',
  },
  {
    name: 'url-lost',
    level: 'E',
    tag: 'echokit::boards',
    text: 'Failed to send ServerUrl event: {reason}',
  },
  { name: 'nfc-type', level: 'I', tag: 'echokit::boards', text: 'PICC Type: {type}' },
  { name: 'no-events', level: 'I', tag: 'echokit::app', text: 'No events' },
  { name: 'main-work-done', level: 'I', tag: 'echokit::app', text: 'Main work done' },
  {
    name: 'deprecated-chunk',
    level: 'W',
    tag: 'echokit::app',
    text: 'Received deprecated {event}, please use AudioChunki16 instead',
  },
  {
    name: 'stack-caps-error',
    level: 'E',
    tag: 'echokit::audio',
    text: 'Failed to set thread stack alloc caps: {reason}',
  },
  {
    name: 'pcm-selected',
    level: 'D',
    tag: 'echokit::app',
    text: '[Select] Received AudioChunki16',
  },
  { name: 'hello-selected', level: 'D', tag: 'echokit::app', text: '[Select] Received HelloChunk' },
  {
    name: 'message-selected',
    level: 'D',
    tag: 'echokit::app',
    text: '[Select] Received message: {message}',
  },
  {
    name: 'mic-selected',
    level: 'D',
    tag: 'echokit::app',
    text: '[Select] Received MicAudioChunk with {samples:int} bytes',
  },
  {
    name: 'vowel-selected',
    level: 'D',
    tag: 'echokit::app',
    text: '[Select] Received Vowel: {vowel:int}',
  },
  { name: 'audio-taken', level: 'D', tag: 'echokit::app', text: 'Received audio chunk' },
  {
    name: 'audio-dropped',
    level: 'D',
    tag: 'echokit::app',
    text: 'Received audio chunk while not speaking',
  },
  { name: 'hello-chunk', level: 'D', tag: 'echokit::app', text: 'Received hello chunk' },
  {
    name: 'end-audio-ignored',
    level: 'D',
    tag: 'echokit::app',
    text: 'Received EndAudio while not in speaking state',
  },
  {
    name: 'end-vad-ignored',
    level: 'D',
    tag: 'echokit::app',
    text: 'Received EndVad while no Listening/Speaking state, ignoring',
  },
  {
    name: 'pre-roll-sent',
    level: 'D',
    tag: 'echokit::audio',
    text: 'Sending cached {samples:int} bytes',
  },
  {
    name: 'speech-sent',
    level: 'D',
    tag: 'echokit::audio',
    text: 'Speech detected, sending {samples:int} bytes',
  },
  { name: 'message-sent', level: 'D', tag: 'echokit::ws', text: 'WebSocket message sent' },
] as const satisfies readonly ConsoleForm[];

/** Lines of parts below the firmware that matter here. */
const systemForms = [
  {
    name: 'task-watchdog',
    level: 'E',
    tag: 'task_wdt',
    text: 'Task watchdog got triggered. The following tasks/users did not reset the watchdog in time:',
  },
  { name: 'brown-out', level: 'I', tag: 'BOD', text: 'Brownout detector was triggered' },
] as const satisfies readonly ConsoleForm[];

/** The first form that fits counts. */
export const consoleForms = [
  ...bootForms,
  ...setupForms,
  ...runForms,
  ...otherForms,
  ...systemForms,
] as const;

/** Number behind `rst:`, name in the ROM, what it means here (section 8.3). */
const resetTable = `
0x01 POWERON power-up, EN pin, RTS reset
0x03 RTC_SW_SYS software system reset; after a brown-out interrupt
0x05 DEEPSLEEP not used
0x07 TG0WDT_SYS timer-group 0 watchdog (hang in the panic handler)
0x08 TG1WDT_SYS interrupt watchdog, hardware stage
0x09 RTCWDT_SYS RTC watchdog
0x0b TG0WDT_CPU watchdog CPU reset
0x0c RTC_SW_CPU esp_restart, or restart after a panic
0x0d RTCWDT_CPU RTC watchdog CPU reset
0x0f RTCWDT_BROWN_OUT brown-out hardware reset
0x10 RTCWDT_RTC RTC watchdog, full
0x11 TG1WDT_CPU watchdog CPU reset
0x12 SUPER_WDT super watchdog
0x13 GLITCH_RTC supply problem
0x14 EFUSE eFuse error
0x15 USB_UART_CHIP_RESET reset by the host over USB-Serial-JTAG
0x16 USB_JTAG_CHIP_RESET reset by a debugger
0x17 POWER_GLITCH supply problem
`;

/** Why the chip was reset, by the number behind `rst:`. */
export const resetReasons: {
  readonly [reset: number]: { readonly name: string; readonly cause: string };
} = Object.fromEntries(
  [...resetTable.matchAll(/^(\S+) (\S+) (.+)$/gm)].map(([, reset, name, cause]) => [
    Number(reset),
    { name: name!, cause: cause! },
  ]),
);

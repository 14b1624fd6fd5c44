/**
 * The serial console of the emulated board: what it reports, as the lines that the real one prints
 * (EchoKit device protocol reference, sections 8.2 to 8.5). Pure; works on what a board reports now
 * as well as on the `device` events of a recording.
 *
 * Lines of the boot that the model does not know are those of a plain boot: their instants, the heap
 * figures, addresses and the Wi-Fi settings are made up.
 */
import type { DeviceEvent } from './device-event.ts';
import { type DeviceProfile, deviceProfiles } from './device-profile.ts';
import { traitsWithout } from './quirk.ts';

export interface ConsoleSettings {
  readonly profile: DeviceProfile;
  readonly serverUrl: string;
  /** Made-up Wi-Fi settings; the console shows them as a real one does (quirk Q23). */
  readonly ssid?: string;
  readonly password?: string;
  /** Station address, 12 lower-case hex digits. Without it the line of the Wi-Fi library that shows it is missing. */
  readonly mac?: string;
}

type Line = readonly [ms: number, level: 'E' | 'W' | 'I', tag: string, message: string];

/** A line of the boot, with its line end, at its instant. */
export interface BootLine {
  /** Milliseconds after the reset of the chip. */
  readonly ms: number;
  readonly text: string;
}

const lineEnd = '\r\n';

/** The chip starts from its flash memory. */
const flashStrap = '0x8 (SPI_FAST_FLASH_BOOT)';

/** What the ROM prints after a reset (section 8.3), without line ends. */
export function romLines(
  reset: string,
  { strap = flashStrap, savedPc }: { readonly strap?: string; readonly savedPc?: string } = {},
): string[] {
  return [
    'ESP-ROM:esp32s3-20210327',
    'Build:Mar 27 2021',
    `rst:${reset},boot:${strap}`,
    ...(savedPc === undefined ? [] : [`Saved PC:${savedPc}`]),
    ...(strap === flashStrap ? ['entry 0x403c9908'] : []),
  ];
}

/** What boot loader and application print until the board connects, or, to be set up, starts Bluetooth. */
export function bootLines(settings: ConsoleSettings, next: 'connect' | 'setup'): BootLine[] {
  const lines = [...startLines(settings), ...(next === 'setup' ? [] : networkLines(settings))];
  return lines.map((line) => ({ ms: line[0], text: lineText(line) }));
}

export class ConsolePrinter {
  readonly #settings: ConsoleSettings;
  /** Instant of the last reset of the chip. */
  #resetUs = 0;
  #booted = false;

  constructor(settings: ConsoleSettings) {
    this.#settings = settings;
  }

  /** The complete text of what the event prints, often none. Events must come in order of time. */
  print(event: DeviceEvent): string {
    switch (event.type) {
      case 'connecting':
        return event.reconnect ? '' : this.#boot(event.atUs, 'connect');
      case 'setup':
        return this.#boot(event.atUs, 'setup');
      case 'reboot':
        this.#booted = false;
        return '';
      case 'log':
        return this.#log(event.atUs, event.level, event.tag, event.message);
      default:
        return '';
    }
  }

  /**
   * The lines of the boot after this reset are printed by somebody else, at their own instants:
   * {@link print} leaves them out and counts milliseconds from here.
   */
  skipBoot(resetUs: number): void {
    this.#booted = true;
    this.#resetUs = resetUs;
  }

  /** From the reset to the instant at which the board connects, or is in set-up mode. */
  #boot(atUs: number, next: 'connect' | 'setup'): string {
    if (this.#booted) return '';
    this.#booted = true;
    const { bootUs } = this.#settings.profile.constants;
    const restarted = this.#resetUs > 0 || atUs >= bootUs;
    this.#resetUs = atUs - bootUs;
    // A deliberate restart has no line `Rebooting...` before it (section 8.6).
    const rom = restarted
      ? romLines('0xc (RTC_SW_CPU)', { savedPc: '0x40377c4a' })
      : romLines('0x1 (POWERON)');
    const printed = bootLines(this.#settings, next).map((line) => line.text);
    return rom.map((line) => line + lineEnd).join('') + printed.join('');
  }

  #log(atUs: number, level: 'E' | 'W' | 'I', tag: string, message: string): string {
    const ms = Math.floor((atUs - this.#resetUs) / 1000);
    const lines: Line[] = [[ms, level, tag, message]];
    if (message.startsWith('Audio speed: ')) lines.push(...heapPair(ms));
    if (message.startsWith('Starting audio worker thread')) lines.push(...this.#audioLines(ms));
    return lines.map(lineText).join('');
  }

  #audioLines(ms: number): Line[] {
    const { profile } = this.#settings;
    const tag = 'echokit::audio';
    const mute = traitsWithout(profile.quirksOff).marksHarmlessLinesAsErrors ? 'E' : 'I';
    const codec: Line[] = hasCodec(profile)
      ? [
          [ms, 'I', 'es8311', 'ES8311 in Slave mode'],
          [ms, 'I', 'es8311', 'ES8311 success'],
          [ms, mute, 'es8311', 'Es8311SetVoiceMute volume:0'],
        ]
      : [];
    return [
      ...codec,
      [ms, 'I', tag, 'afe_config_t { aec_init: true, vad_init: true, vad_mode: 4 }'],
      [ms, 'I', tag, 'afe ringbuf size: 40'],
      [ms, 'I', tag, 'audio chunksize: 256'],
      [ms, 'I', tag, 'feed_chunksize: 256'],
      [ms, 'I', tag, 'AFE feed thread started, on core Core1'],
      [ms, 'I', tag, 'AFE worker started'],
      ...heapPair(ms),
    ];
  }
}

function startLines({
  profile,
  serverUrl,
  ssid = 'echokit-harness',
  password = 'not a secret',
}: ConsoleSettings): Line[] {
  const { boardTag } = profile.constants;
  const shown = traitsWithout(profile.quirksOff).printsPassword ? debugText(password) : '***';
  const display: Line[] = hasSpiDisplay(profile)
    ? [
        [612, 'I', boardTag, 'Install panel IO'],
        [613, 'I', boardTag, 'Install LCD driver'],
        [614, 'I', boardTag, 'Reset LCD panel'],
      ]
    : [];
  return [
    [27, 'I', 'boot', 'ESP-IDF v5.4.1 2nd stage bootloader'],
    [46, 'I', 'boot', 'Enabling RNG early entropy source...'],
    [164, 'I', 'boot', 'Loaded app from partition at offset 0x210000'],
    [180, 'I', 'octal_psram', 'vendor id    : 0x0d (AP)'],
    [185, 'I', 'esp_psram', 'Found 8MB PSRAM device'],
    [560, 'I', 'esp_psram', 'SPI SRAM memory test OK'],
    [566, 'I', 'cpu_start', 'Multicore app'],
    [581, 'I', 'app_init', 'Project name:     echokit'],
    [581, 'I', 'app_init', `App version:      ${profile.firmware.version}`],
    [581, 'I', 'app_init', 'ELF file SHA256:  0000000...'],
    [582, 'I', 'app_init', 'ESP-IDF:          v5.4.1'],
    [598, 'I', 'main_task', 'Calling app_main()'],
    [604, 'I', 'echokit', 'DEFAULT_SERVER_URL: None'],
    [608, 'I', 'echokit', `SSID: ${debugText(ssid)}`],
    [608, 'I', 'echokit', `PASS: ${shown}`],
    [609, 'I', 'echokit', `Server URL: ${debugText(serverUrl)}`],
    ...heapPair(610),
    ...display,
    ...heapPair(700),
  ];
}

function networkLines({ mac }: ConsoleSettings): Line[] {
  const address = mac?.match(/../g)?.join(':');
  return [
    [1900, 'I', 'echokit::network', 'Connecting wifi...'],
    ...(address === undefined ? [] : ([[1950, 'I', 'wifi', `mode : sta (${address})`]] as Line[])),
    [3100, 'I', 'echokit::network', 'Waiting for DHCP lease...'],
    [4100, 'I', 'esp_netif_handlers', 'sta ip: 192.0.2.7, mask: 255.255.255.0, gw: 192.0.2.1'],
    [4101, 'I', 'echokit::network', 'Wifi DHCP info: IpInfo { ip: 192.0.2.7 }'],
    ...heapPair(4102),
    ...heapPair(4110),
  ];
}

function hasCodec({ constants }: DeviceProfile): boolean {
  return constants.boardTag === deviceProfiles['box']!.constants.boardTag;
}

function hasSpiDisplay(profile: DeviceProfile): boolean {
  return !hasCodec(profile);
}

function heapPair(ms: number): Line[] {
  return [
    [ms, 'I', 'echokit', 'Free SPIRAM heap size: 6800KB'],
    [ms, 'I', 'echokit', 'Free INTERNAL heap size: 140KB'],
  ];
}

function lineText([ms, level, tag, message]: Line): string {
  // The closed Wi-Fi library leaves the space out.
  const colon = tag === 'wifi' ? ':' : ': ';
  return `${level} (${ms}) ${tag}${colon}${message.replaceAll(/\r?\n/g, lineEnd)}${lineEnd}`;
}

function debugText(text: string): string {
  return `"${text.replaceAll(/[\\"]/g, '\\$&')}"`;
}

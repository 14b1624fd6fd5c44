/**
 * For tests: what a board prints, written with the forms of a real ESP32-S3 with ESP-IDF 5.4 and of
 * EchoKit (device protocol reference, sections 8.3 to 8.6). The values are made up.
 */
export const romLines = (reset: string, mode = 'boot:0x8 (SPI_FAST_FLASH_BOOT)') => [
  'ESP-ROM:esp32s3-20210327',
  'Build:Mar 27 2021',
  `rst:${reset},${mode}`,
  ...(reset.startsWith('0x1 ') ? [] : ['Saved PC:0x40378ca5']),
  'SPIWP:0xee',
  'mode:DIO, clock div:1',
  'load:0x3fce2820,len:0x1550',
  'load:0x403c8700,len:0x4',
  'load:0x403c8704,len:0xd20',
  'load:0x403cb700,len:0x2f00',
  'entry 0x403c8928',
];

export const bootLoaderLines = [
  'I (27) boot: ESP-IDF v5.4.1 2nd stage bootloader',
  'I (27) boot: compile time Sep  3 2026 09:14:02',
  'I (27) boot: Multicore bootloader',
  'I (28) boot: chip revision: v0.2',
  'I (31) boot: efuse block revision: v1.3',
  'I (36) boot.esp32s3: Boot SPI Speed : 80MHz',
  'I (40) boot.esp32s3: SPI Mode       : DIO',
  'I (43) boot.esp32s3: SPI Flash Size : 16MB',
  'I (47) boot: Enabling RNG early entropy source...',
  'I (52) boot: Partition Table:',
  'I (54) boot: ## Label            Usage          Type ST Offset   Length',
  'I (60) boot:  0 nvs              WiFi data        01 02 00009000 00006000',
  'I (67) boot:  1 phy_init         RF data          01 01 0000f000 00001000',
  'I (73) boot:  2 factory          factory app      00 00 00010000 00400000',
  'I (80) boot: End of partition table',
  'I (83) esp_image: segment 0: paddr=00010020 vaddr=3c0d0020 size=61a38h (399928) map',
  'I (165) esp_image: segment 1: paddr=00071a60 vaddr=3fc9be00 size=05a44h ( 23108) load',
  'I (172) boot: Loaded app from partition at offset 0x10000',
  'I (172) boot: Disabling RNG early entropy source...',
];

/** @param version of the firmware */
export const applicationLines = (version = '0.3.2') => [
  'I (183) octal_psram: vendor id    : 0x0d (AP)',
  'I (183) octal_psram: dev id       : 0x02 (generation 3)',
  'I (184) octal_psram: density      : 0x03 (64 Mbit)',
  'I (220) MSPI Timing: PSRAM timing tuning index: 5',
  'I (223) esp_psram: Found 8MB PSRAM device',
  'I (227) esp_psram: Speed: 80MHz',
  'I (230) cpu_start: Multicore app',
  'I (664) esp_psram: SPI SRAM memory test OK',
  'I (673) cpu_start: Pro cpu start user code',
  'I (673) cpu_start: cpu freq: 240000000 Hz',
  'I (673) app_init: Application information:',
  'I (676) app_init: Project name:     echokit',
  `I (680) app_init: App version:      ${version}`,
  'I (684) app_init: Compile time:     Sep  3 2026 09:13:51',
  'I (689) app_init: ELF file SHA256:  5f2a9c01d...',
  'I (693) app_init: ESP-IDF:          v5.4.1',
  'I (697) efuse_init: Min chip rev:     v0.0',
  'I (701) efuse_init: Max chip rev:     v0.99 ',
  'I (705) efuse_init: Chip rev:         v0.2',
  'I (709) heap_init: Initializing. RAM available for dynamic allocation:',
  'I (715) heap_init: At 3FCAB3D8 len 0003E338 (248 KiB): RAM',
  'I (745) esp_psram: Adding pool of 8192K of PSRAM memory to heap allocator',
  'I (752) spi_flash: detected chip: gd',
  'I (755) spi_flash: flash io: dio',
  'W (758) i2c: This driver is an old driver, please migrate your application code to adapt `driver/i2c_master.h`',
  'I (770) sleep_gpio: Configure to isolate all GPIO pins in sleep state',
  'I (776) sleep_gpio: Enable automatic switching of GPIO sleep configuration',
  'I (783) main_task: Started on CPU0',
  'I (787) esp_psram: Reserving pool of 32K of internal memory for DMA/internal allocations',
  'I (795) main_task: Calling app_main()',
];

/** @param password of the Wi-Fi network, as the firmware prints it */
export const settingLines = (password: string) => [
  'I (801) echokit: DEFAULT_SERVER_URL: None',
  'I (805) echokit: SSID: "kitchen"',
  `I (808) echokit: PASS: "${password}"`,
  'I (811) echokit: Server URL: "ws://192.0.2.1:8080/ws/"',
  'I (814) echokit: Free SPIRAM heap size: 7800KB',
  'I (817) echokit: Free INTERNAL heap size: 190KB',
];

export const networkLines = [
  'I (1902) echokit::network: Connecting wifi...',
  'I (1930) wifi:wifi driver task: 3fcf1a2c, prio:23, stack:6656, core=0',
  'I (1990) wifi:mode : sta (02:ec:0e:00:00:02)',
  'I (3100) echokit::network: Waiting for DHCP lease...',
  'I (4100) esp_netif_handlers: sta ip: 192.0.2.7, mask: 255.255.255.0, gw: 192.0.2.1',
  'I (4101) echokit::network: Wifi DHCP info: IpInfo { ip: 192.0.2.7 }',
  'I (4400) echokit::boards::base: Starting audio worker thread in core Core1',
];

export const panicLines = [
  "Guru Meditation Error: Core  0 panic'ed (LoadProhibited). Exception was unhandled.",
  '',
  'Core  0 register dump:',
  'PC      : 0x42008a1c  PS      : 0x00060d33  A0      : 0x8200a4f0  A1      : 0x3fcb1e90  ',
  'A2      : 0x00000000  A3      : 0x3fcab3d8  A4      : 0x0000cdcd  A5      : 0x00060d23  ',
  'EXCVADDR: 0x00000004  LBEG    : 0x400570e8  LEND    : 0x400570f3  LCOUNT  : 0xffffffff  ',
  '',
  'Backtrace: 0x42008a19:0x3fcb1e90 0x4200a4ed:0x3fcb1eb0 0x4037a2c1:0x3fcb1ee0',
  '',
  '',
  'ELF file SHA256: 5f2a9c01d',
  '',
  'Rebooting...',
];

export const onConsole = (lines: readonly string[]): Buffer =>
  Buffer.from(lines.map((line) => `${line}\r\n`).join(''));

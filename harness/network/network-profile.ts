import { idealLink, type LinkProfile } from './link.ts';

/** A named link between a board and its server. */
export interface NetworkProfile {
  readonly name: string;
  /** One line for a person who chooses. */
  readonly about: string;
  readonly link: LinkProfile;
  /** Where the numbers come from: a source, or the reason why they were chosen. */
  readonly sources: readonly string[];
}

/** lwIP of the firmware: receive window and send buffer. */
const boardWindowBytes = 5760;
const windowSource =
  'window: EchoKit device protocol reference, section 6.7 (receive window and send buffer 5760 bytes)';
const chosen = 'everything else: engineering choice, not measured';

/**
 * Linux, the usual server, waits at least 200 ms before it sends a segment again. A window of four
 * segments is too small for the three duplicate acknowledgements that would make it do so sooner.
 */
const serverRetransmitUs = 200_000;
/** lwIP counts its retransmission timer in steps of 500 ms. */
const boardRetransmitUs = 500_000;
const retransmitSource =
  'retransmission: 200 ms is the minimum of Linux (TCP_RTO_MIN), 500 ms the timer step of lwIP (TCP_SLOW_INTERVAL)';

const profiles: readonly NetworkProfile[] = [
  {
    name: 'ideal',
    about: 'nothing in the way: for checking the program against itself',
    link: idealLink,
    sources: ['by definition'],
  },
  {
    name: 'good-wifi',
    about: 'a board on the desk, server in the same house, power saving off',
    link: {
      latencyUs: 4_000,
      jitterUs: 6_000,
      bytesPerSecond: 1_000_000,
      windowBytes: boardWindowBytes,
    },
    sources: [windowSource, chosen],
  },
  {
    name: 'busy-wifi',
    about: 'many stations on the channel: late in bursts, little is lost',
    link: {
      latencyUs: 8_000,
      jitterUs: 30_000,
      jitterCorrelation: 0.5,
      bytesPerSecond: 300_000,
      windowBytes: boardWindowBytes,
      bursts: [{ meanGapUs: 1_500_000, minimumUs: 20_000, maximumUs: 150_000 }],
      loss: { chance: 0.001, meanRun: 1.2, retransmitUs: serverRetransmitUs },
      up: { loss: { chance: 0.001, meanRun: 1.2, retransmitUs: boardRetransmitUs } },
    },
    sources: [windowSource, retransmitSource, chosen],
  },
  {
    name: 'modem-sleep',
    about: 'good Wi-Fi with the power saving that is ESP-IDF’s default',
    link: {
      latencyUs: 4_000,
      jitterUs: 6_000,
      bytesPerSecond: 1_000_000,
      windowBytes: boardWindowBytes,
      sleep: { beaconUs: 102_400, awakeUs: 50_000 },
      bursts: [
        { meanGapUs: 4_000_000, minimumUs: 100_000, maximumUs: 300_000 },
        { meanGapUs: 30_000_000, minimumUs: 1_000_000, maximumUs: 1_117_000 },
      ],
    },
    sources: [
      windowSource,
      'bursts: stack-chan/stack-chan PR#648, where power saving gave gaps of 100 to 300 ms and 1117 ms at worst; how often is a choice',
      'beacon: 100 time units of 1024 µs, the usual interval of access points; awake: CONFIG_ESP_WIFI_SLP_DEFAULT_MIN_ACTIVE_TIME of ESP-IDF, 50 ms',
      chosen,
    ],
  },
  {
    name: 'weak-wifi',
    about: 'two walls away: slow, late, and segments are lost in runs',
    link: {
      latencyUs: 15_000,
      jitterUs: 60_000,
      jitterCorrelation: 0.7,
      bytesPerSecond: 60_000,
      windowBytes: boardWindowBytes,
      bursts: [{ meanGapUs: 3_000_000, minimumUs: 50_000, maximumUs: 400_000 }],
      loss: { chance: 0.01, meanRun: 1.5, retransmitUs: serverRetransmitUs },
      up: { loss: { chance: 0.01, meanRun: 1.5, retransmitUs: boardRetransmitUs } },
    },
    sources: [windowSource, retransmitSource, chosen],
  },
  {
    name: 'mobile-hotspot',
    about: 'a phone as access point: granted turns on the way up, a handover now and then',
    link: {
      latencyUs: 35_000,
      jitterUs: 25_000,
      jitterCorrelation: 0.6,
      bytesPerSecond: 1_000_000,
      windowBytes: boardWindowBytes,
      connectUs: 150_000,
      bursts: [{ meanGapUs: 45_000_000, minimumUs: 300_000, maximumUs: 800_000 }],
      up: { bytesPerSecond: 250_000, slotUs: 10_000 },
    },
    sources: [windowSource, chosen],
  },
  {
    name: 'far-server',
    about: 'the server on another continent: a long way, and a window that is small for it',
    link: {
      latencyUs: 90_000,
      jitterUs: 8_000,
      bytesPerSecond: 1_000_000,
      windowBytes: boardWindowBytes,
    },
    sources: [windowSource, chosen],
  },
];

export const networkProfiles: Readonly<Record<string, NetworkProfile>> = Object.fromEntries(
  profiles.map((profile) => [profile.name, profile]),
);

export const networkNames: readonly string[] = profiles.map(({ name }) => name);

const months = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/**
 * Seconds from 1970 of an HTTP date in its preferred form (RFC 9110, section 5.6.7), for example
 * `Sun, 06 Nov 1994 08:49:37 GMT`; undefined for anything else. Without `Date`, because only the
 * distance of two dates in one answer is ever used.
 */
export function httpDateSeconds(text: string): number | undefined {
  const parts = /^[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/.exec(
    text.trim(),
  );
  if (parts === null) return undefined;
  const [day, year, hour, minute, second] = [1, 3, 4, 5, 6].map((i) => Number(parts[i])) as [
    number,
    number,
    number,
    number,
    number,
  ];
  const month = months.indexOf(parts[2]!);
  if (month < 0 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return undefined;
  // Years are counted from March, so that the leap day is the last day of a year.
  const shifted = month < 2 ? year - 1 : year;
  const daysBeforeMonth = Math.floor((153 * ((month + 10) % 12) + 2) / 5);
  const leapDays = Math.floor(shifted / 4) - Math.floor(shifted / 100) + Math.floor(shifted / 400);
  const days = shifted * 365 + leapDays + daysBeforeMonth + day - 1 - 719_468;
  return ((days * 24 + hour) * 60 + minute) * 60 + second;
}

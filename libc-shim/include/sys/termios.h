/*
 * sys/termios.h - settings of terminals, of which the console has some that change little: src/terminal.c.
 */
#ifndef _SYS_TERMIOS_H
#define _SYS_TERMIOS_H

#include <sys/types.h>

typedef unsigned char cc_t;
typedef unsigned tcflag_t;
typedef unsigned speed_t;

#define NCCS 32

struct termios {
    tcflag_t c_iflag;
    tcflag_t c_oflag;
    tcflag_t c_cflag;
    tcflag_t c_lflag;
    cc_t c_cc[NCCS];
    speed_t c_ispeed;
    speed_t c_ospeed;
};

/* c_cc */
#define VINTR  0
#define VQUIT  1
#define VERASE 2
#define VKILL  3
#define VEOF   4
#define VTIME  5
#define VMIN   6
#define VSTART 7
#define VSTOP  8
#define VSUSP  9
#define VEOL   10

/* c_iflag */
#define IGNBRK 0x1
#define BRKINT 0x2
#define IGNPAR 0x4
#define PARMRK 0x8
#define INPCK  0x10
#define ISTRIP 0x20
#define INLCR  0x40
#define IGNCR  0x80
#define ICRNL  0x100
#define IXON   0x200
#define IXANY  0x400
#define IXOFF  0x800

/* c_oflag */
#define OPOST  0x1
#define ONLCR  0x2
#define OCRNL  0x4
#define ONOCR  0x8
#define ONLRET 0x10
#define OFILL  0x20
#define OFDEL  0x40

/* c_cflag */
#define CSIZE  0x03
#define CS5    0x00
#define CS6    0x01
#define CS7    0x02
#define CS8    0x03
#define CSTOPB 0x04
#define CREAD  0x08
#define PARENB 0x10
#define PARODD 0x20
#define HUPCL  0x40
#define CLOCAL 0x80

/* c_lflag */
#define ISIG   0x1
#define ICANON 0x2
#define ECHO   0x4
#define ECHOE  0x8
#define ECHOK  0x10
#define ECHONL 0x20
#define NOFLSH 0x40
#define TOSTOP 0x80
#define IEXTEN 0x100

/* Speeds, in bits a second */
#define B0      0
#define B50     50
#define B75     75
#define B110    110
#define B134    134
#define B150    150
#define B200    200
#define B300    300
#define B600    600
#define B1200   1200
#define B1800   1800
#define B2400   2400
#define B4800   4800
#define B9600   9600
#define B19200  19200
#define B38400  38400
#define B57600  57600
#define B115200 115200
#define B230400 230400

/* tcsetattr(), tcflush(), tcflow() */
#define TCSANOW   0
#define TCSADRAIN 1
#define TCSAFLUSH 2
#define TCIFLUSH  0
#define TCOFLUSH  1
#define TCIOFLUSH 2
#define TCOOFF    0
#define TCOON     1
#define TCIOFF    2
#define TCION     3

#ifdef __cplusplus
extern "C" {
#endif

speed_t cfgetispeed(const struct termios *settings);
speed_t cfgetospeed(const struct termios *settings);
int cfsetispeed(struct termios *settings, speed_t speed);
int cfsetospeed(struct termios *settings, speed_t speed);
int cfsetspeed(struct termios *settings, speed_t speed); /* both */
void cfmakeraw(struct termios *settings);
int tcgetattr(int fd, struct termios *out);
int tcsetattr(int fd, int when, const struct termios *settings);
int tcdrain(int fd);
int tcflow(int fd, int action);
int tcflush(int fd, int queue);
int tcsendbreak(int fd, int duration);
pid_t tcgetsid(int fd);

#ifdef __cplusplus
}
#endif

#endif

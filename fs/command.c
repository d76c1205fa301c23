#include "command.h"

#include <stdarg.h>
#include <stdio.h>

int command_refuse(const char *command, int status, const char *fmt, ...)
{
	va_list list;

	fprintf(stderr, "lineagefs %s: ", command);
	va_start(list, fmt);
	vfprintf(stderr, fmt, list);
	va_end(list);
	if (status == 2)
		fprintf(stderr, "\n`lineagefs %s --help` says how it is used", command);
	fputc('\n', stderr);
	return status;
}

int command_option(const char *command, const char *help, int option, const char *word)
{
	if (option == 'h') {
		fputs(help, stdout);
		return fflush(stdout) == 0 ? -1 : 1;
	}
	if (option == ':')
		return command_refuse(command, 2, "%s needs an argument", word);
	return command_refuse(command, 2, "no such option: %s", word);
}

struct size_text size_in_bytes(uint64_t bytes)
{
	struct size_text size;

	snprintf(size.text, sizeof(size.text), "%llu", (unsigned long long)bytes);
	return size;
}

struct size_text size_for_people(uint64_t bytes)
{
	static const char units[] = "KMGTPE";
	uint64_t unit = 1024, tenths;
	struct size_text size;
	size_t i = 0;

	if (bytes < unit)
		return size_in_bytes(bytes);
	while (bytes / unit >= 1024 && i + 2 < sizeof(units)) {
		unit *= 1024;
		i++;
	}
	tenths = bytes / unit * 10 + (bytes % unit * 10 + unit - 1) / unit;
	/* Rounded up it may be one of the next unit. */
	if (tenths > 10230 && i + 2 < sizeof(units)) {
		tenths = 10;
		i++;
	}
	if (tenths <= 99)
		snprintf(size.text, sizeof(size.text), "%u.%u%c", (unsigned)tenths / 10,
			 (unsigned)tenths % 10, units[i]);
	else
		snprintf(size.text, sizeof(size.text), "%u%c", (unsigned)(tenths + 9) / 10,
			 units[i]);
	return size;
}

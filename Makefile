# lineagefs. `make help` lists the targets; SANITIZE=address,undefined or SANITIZE=thread builds
# beside the plain build, V=1 shows the commands.

SANITIZE =
CC = gcc
V =
BUILD = build$(if $(SANITIZE),$(if $(findstring thread,$(SANITIZE)),-tsan,-asan))
PREFIX = /usr/local
SYSCONFDIR = /etc
PKG_CONFIG = pkg-config

WARNINGS = -Wall -Wextra -Werror -Wshadow -Wvla -Wmissing-prototypes -Wstrict-prototypes \
	-Wwrite-strings -Wformat=2
DEFINES = -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64
INCLUDES := -I. $(shell $(PKG_CONFIG) --cflags fuse3)
# _FORTIFY_SOURCE hides from the sanitizers what it checks itself.
HARDENING = -fstack-protector-strong \
	$(if $(SANITIZE),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
SANITIZERS = $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all \
	-fno-omit-frame-pointer)
CFLAGS = -O2 -g
COMPILE = $(CC) -std=gnu17 $(DEFINES) $(INCLUDES) $(WARNINGS) $(HARDENING) $(SANITIZERS) $(CFLAGS)
# Debian 12's librocksdb has no .pc file.
LIBRARIES := $(shell $(PKG_CONFIG) --libs fuse3) -lrocksdb -lcrypto -linih -ljansson -lpthread

SOURCES := $(wildcard fs/*.c core/*.c conf/*.c)
FAKES := $(wildcard tests/fake/*.c)
UNIT_TESTS := $(wildcard tests/unit/test_*.c)
HEADERS := $(wildcard fs/*.h core/*.h conf/*.h tests/fake/*.h tests/unit/*.h)

OBJECTS = $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY_OBJECTS = $(filter-out $(BUILD)/fs/main.o,$(OBJECTS)) $(FAKES:%.c=$(BUILD)/%.o)
UNIT_PROGRAMS = $(UNIT_TESTS:%.c=$(BUILD)/%)
DEPENDENCIES = $(OBJECTS:.o=.d) $(FAKES:%.c=$(BUILD)/%.d) $(UNIT_TESTS:%.c=$(BUILD)/%.d)

Q = $(if $(V),,@)
SAY = $(if $(V),@:,@printf '  %-5s %s\n')

.PHONY: all unit-programs unit mount-test test check bench format lint flags install clean help FORCE
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/lineagefs ## build the program (the default)

$(BUILD)/lineagefs: $(OBJECTS) $(BUILD)/flags
	$(SAY) LINK $@
	$(Q)$(COMPILE) -o $@ $(OBJECTS) $(LIBRARIES)

# Everything but main, for the unit tests.
$(BUILD)/lineagefs.a: $(LIBRARY_OBJECTS)
	$(SAY) AR $@
	$(Q)rm -f $@ && ar rcD $@ $^

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(BUILD)/lineagefs.a $(BUILD)/flags
	$(SAY) LINK $@
	$(Q)$(COMPILE) -o $@ $< $(BUILD)/lineagefs.a -lcmocka $(LIBRARIES)

# Helpers of the benchmarks.
$(BUILD)/tests/bench/%: $(BUILD)/tests/bench/%.o $(BUILD)/lineagefs.a $(BUILD)/flags
	$(SAY) LINK $@
	$(Q)$(COMPILE) -o $@ $< $(BUILD)/lineagefs.a $(LIBRARIES)

$(BUILD)/%.o: %.c $(BUILD)/flags
	$(SAY) CC $@
	$(Q)mkdir -p $(@D) && $(COMPILE) -MMD -MP -c -o $@ $<

# Changes only when the command does: everything depends on it.
$(BUILD)/flags: FORCE
	$(Q)mkdir -p $(@D); echo '$(COMPILE) $(LIBRARIES)' | cmp -s - $@ || \
		echo '$(COMPILE) $(LIBRARIES)' >$@

$(BUILD)/fs/page.o: fs/graph.html

-include $(DEPENDENCIES)

unit-programs: $(UNIT_PROGRAMS)

unit: unit-programs ## build and run the unit tests
	$(Q)scripts/unit $(BUILD)/test-logs $(UNIT_PROGRAMS)

mount-test: $(BUILD)/lineagefs $(BUILD)/tests/bench/check_real ## run the tests that mount through the kernel
	$(Q)tests/mount/run $(BUILD)/lineagefs

# One after the other under -j too: the mount tests are timed.
test: ## unit and mount-test
	+$(Q)$(MAKE) --no-print-directory unit
	+$(Q)$(MAKE) --no-print-directory mount-test

check: ## test, under the address and undefined behaviour sanitizers
	+$(Q)$(MAKE) --no-print-directory SANITIZE=address,undefined test

# QUICK=1 only shows that it runs through; ROUNDS=5 measures more often.
bench: $(BUILD)/lineagefs ## measure beside the local filesystem and its peers
	$(Q)tests/bench/run $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(QUICK),--quick,--write tests/bench/RESULTS.md)

format: ## lay out all C files with clang-format
	$(Q)clang-format -i $(SOURCES) $(FAKES) $(UNIT_TESTS) $(HEADERS)

lint: ## check layering, banned functions, layout, and that clang accepts everything
	$(Q)scripts/lint

flags:
	@echo '-std=gnu17 $(DEFINES) $(INCLUDES) $(WARNINGS)'

install: $(BUILD)/lineagefs ## install into PREFIX (/usr/local), honouring DESTDIR
	install -D -m 755 $(BUILD)/lineagefs $(DESTDIR)$(PREFIX)/bin/lineagefs
	test -e $(DESTDIR)$(SYSCONFDIR)/lineagefs.ini || \
		install -D -m 644 conf/lineagefs.ini $(DESTDIR)$(SYSCONFDIR)/lineagefs.ini

clean: ## remove everything that was built
	rm -rf build build-asan build-tsan

help: ## this list
	@awk -F ' *## ' '/^[a-z-]+:.*##/ { sub(/:.*/, "", $$1); printf "  %-12s %s\n", $$1, $$2 }' \
		Makefile
